import { useMemo, useState } from "react";
import type { Api } from "../api";
import { frameDocument, hasRemoteImages } from "../frame";
import { useFrameFit } from "../hooks/useFrameFit";
import { useInlineImages } from "../hooks/useInlineImages";
import { linkParts } from "../links";
import type { Message } from "../model";
import { foldQuote } from "../quotes";

export function MessageBody({ api, message }: { api: Api; message: Message }) {
  if (message.html) return <HtmlBody api={api} message={message} html={message.html} />;
  if (message.text?.trim()) return <TextBody text={message.text} />;
  return <p className="muted letter-text">This message has no text.</p>;
}

/**
 * Foreign HTML lives in a frame without scripts or forms; the sandbox and the frame's own policy
 * would hold it even if the API's sanitising did not.
 *
 * - `allow-same-origin` lets the page measure the frame. It gives the letter nothing: without
 *   `allow-scripts` there is nobody in it to make use of an origin.
 * - `allow-popups-to-escape-sandbox` because a link opens a site that would not work in our
 *   sandbox. It opens on a click only, and `noopener` on each link keeps the site from this page.
 */
function HtmlBody({ api, message, html }: { api: Api; message: Message; html: string }) {
  const inline = useInlineImages(api, message);
  const [images, setImages] = useState(false);
  const fit = useFrameFit();
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
        sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox"
        referrerPolicy="no-referrer"
        srcDoc={source}
        onLoad={(event) => fit(event.currentTarget)}
      />
    </>
  );
}

function TextBody({ text }: { text: string }) {
  const { text: said, quote } = useMemo(() => foldQuote(text), [text]);
  return (
    <div className="letter-text">
      <Linked text={said} />
      {quote && (
        <details className="quote">
          <summary>Quoted text</summary>
          <blockquote>
            <Linked text={quote} />
          </blockquote>
        </details>
      )}
    </div>
  );
}

function Linked({ text }: { text: string }) {
  const parts = useMemo(() => linkParts(text), [text]);
  return parts.map(({ text: words, href, at }) =>
    href ? (
      <a key={at} href={href} target="_blank" rel="noopener noreferrer">
        {words}
      </a>
    ) : (
      words
    ),
  );
}
