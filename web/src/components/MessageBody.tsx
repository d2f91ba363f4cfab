import { useMemo, useState } from "react";
import type { Api } from "../api";
import { frameDocument, hasRemoteImages } from "../frame";
import { useInlineImages } from "../hooks/useInlineImages";
import { linkParts } from "../links";
import type { Message } from "../model";

export function MessageBody({ api, message }: { api: Api; message: Message }) {
  if (message.html) return <HtmlBody api={api} message={message} html={message.html} />;
  if (message.text?.trim()) return <TextBody text={message.text} />;
  return <p className="muted letter-text">This message has no text.</p>;
}

/**
 * Foreign HTML lives in a frame without scripts, forms or an origin; the sandbox and the frame's
 * own policy would hold it even if the API's sanitising did not.
 */
function HtmlBody({ api, message, html }: { api: Api; message: Message; html: string }) {
  const inline = useInlineImages(api, message);
  const [images, setImages] = useState(false);
  const remote = useMemo(() => hasRemoteImages(html), [html]);
  const source = useMemo(() => frameDocument(html, images, inline), [html, images, inline]);
  return (
    <>
      {remote && !images && (
        <p className="images-bar">
          Remote images are not loaded, as they tell the sender that you read this.{" "}
          <button type="button" className="inline" onClick={() => setImages(true)}>
            Show remote images
          </button>
        </p>
      )}
      <iframe
        className="letter-frame"
        data-testid="message-frame"
        title="Message text"
        sandbox="allow-popups"
        referrerPolicy="no-referrer"
        srcDoc={source}
      />
    </>
  );
}

function TextBody({ text }: { text: string }) {
  const parts = useMemo(() => linkParts(text), [text]);
  return (
    <div className="letter-text">
      {parts.map(({ text: words, href, at }) =>
        href ? (
          <a key={at} href={href} target="_blank" rel="noopener noreferrer">
            {words}
          </a>
        ) : (
          words
        ),
      )}
    </div>
  );
}
