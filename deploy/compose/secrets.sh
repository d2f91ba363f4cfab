#!/bin/sh
# Draws this installation's secrets on its first start, and lays them out by who may read them:
# each container mounts only its own folder of the volume, where a file is named like its setting.
# A file in deploy/compose/secrets, mounted at /given, wins over what is drawn.
set -eu
cd /secrets

random() { head -c 32 /dev/urandom | base64; }

# keep NAME FALLBACK [SETTING]: what is given for the setting, else the one of an earlier start, else
# the fallback
keep() {
    mkdir -p drawn && chmod 700 drawn
    [ -z "${3:-}" ] || [ ! -s "/given/$3" ] || cat "/given/$3" >"drawn/$1"
    [ -s "drawn/$1" ] || echo "$2" >"drawn/$1"
    cat "drawn/$1"
}

# lay VALUE NAME FOLDER...: a file in each folder, readable to whoever it is mounted for, whole or not
# at all
lay() {
    value=$1 name=$2
    shift 2
    for folder; do
        mkdir -p "$folder"
        echo "$value" >"$folder/.new"
        mv "$folder/.new" "$folder/$name"
    done
}

# Passwords stand in a URL and in a configuration file: letters, digits, - and _ only.
password=$(keep database-password "$(random | tr '+/' '-_' | tr -d '=')")
mailbox=$(keep mailbox-password "$(random | tr '+/' '-_' | tr -d '=')")
jwt=$(keep jwt-secret "$(random)" POSTWIRE_JWT_SECRET)
realtime=$(keep realtime-secret "$(random)" POSTWIRE_REALTIME_SECRET)
keys=$(keep credential-keys "1:$(random)" POSTWIRE_CREDENTIAL_KEYS)
providers=$(keep oauth-providers "{}" POSTWIRE_OAUTH_PROVIDERS)

# What an older release has laid there is no setting.
rm -f ./*/env

lay "$password" password postgres
lay "$(printf 'passdb static {\n  password = %s\n}' "$mailbox")" passdb.conf dovecot
lay "postgresql://postwire:$password@postgres:5432/postwire" POSTWIRE_DATABASE_URL migrate api worker
lay "$keys" POSTWIRE_CREDENTIAL_KEYS api worker
lay "$providers" POSTWIRE_OAUTH_PROVIDERS api worker
lay "$jwt" POSTWIRE_JWT_SECRET api seed
lay "$realtime" POSTWIRE_REALTIME_SECRET api gateway
lay "{\"password\": \"$mailbox\"}" POSTWIRE_DEMO_IMAP seed feeder

# A proxy is there for as long as it is given; a file without one would stop an older release.
rm -f worker/POSTWIRE_MAIL_PROXY
[ ! -s /given/POSTWIRE_MAIL_PROXY ] || lay "$(cat /given/POSTWIRE_MAIL_PROXY)" POSTWIRE_MAIL_PROXY worker

# The mail server runs without root, in a folder that Docker makes for root.
chown 1000:1000 /mail
