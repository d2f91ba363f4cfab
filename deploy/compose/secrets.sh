#!/bin/sh
# Draws this installation's secrets on its first start, and lays them out by who may read them:
# each container mounts only its own folder of the volume. A value from the environment wins.
set -eu
cd /secrets

random() { head -c 32 /dev/urandom | base64; }

# keep NAME VALUE [FALLBACK]: the given value, else the one of an earlier start, else the fallback
keep() {
    mkdir -p drawn && chmod 700 drawn
    [ -z "$2" ] || echo "$2" >"drawn/$1"
    [ -s "drawn/$1" ] || echo "$3" >"drawn/$1"
    cat "drawn/$1"
}

# lay FOLDER/FILE: standard input, readable to whoever the folder is mounted for, whole or not at all
lay() {
    mkdir -p "${1%/*}"
    cat >"$1.new"
    mv "$1.new" "$1"
}

# Passwords stand in a URL and in a configuration file: letters, digits, - and _ only.
password=$(keep database-password "" "$(random | tr '+/' '-_' | tr -d '=')")
mailbox=$(keep mailbox-password "" "$(random | tr '+/' '-_' | tr -d '=')")
jwt=$(keep jwt-secret "${POSTWIRE_JWT_SECRET:-}" "$(random)")
realtime=$(keep realtime-secret "${POSTWIRE_REALTIME_SECRET:-}" "$(random)")
keys=$(keep credential-keys "${POSTWIRE_CREDENTIAL_KEYS:-}" "1:$(random)")


database_url="POSTWIRE_DATABASE_URL=postgresql://postwire:$password@postgres:5432/postwire"

echo "$password" | lay postgres/password
printf 'passdb static {\n  password = %s\n}\n' "$mailbox" | lay dovecot/passdb.conf
echo "$database_url" | lay migrate/env
lay api/env <<ENV
$database_url
POSTWIRE_JWT_SECRET=$jwt
POSTWIRE_REALTIME_SECRET=$realtime
POSTWIRE_CREDENTIAL_KEYS=$keys
ENV
lay worker/env <<ENV
$database_url
POSTWIRE_CREDENTIAL_KEYS=$keys
ENV
echo "POSTWIRE_REALTIME_SECRET=$realtime" | lay gateway/env
echo "POSTWIRE_DEMO_IMAP_PASSWORD=$mailbox" | lay feeder/env
lay seed/env <<ENV
POSTWIRE_DEMO_IMAP_PASSWORD=$mailbox
POSTWIRE_JWT_SECRET=$jwt
ENV

# The mail server runs without root, in a folder that Docker makes for root.
chown 1000:1000 /mail
