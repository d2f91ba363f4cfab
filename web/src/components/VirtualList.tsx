// A <select> holds text alone, and all of its options at once.
/* oxlint-disable jsx-a11y/prefer-tag-over-role */
import { useVirtualizer, type Range } from "@tanstack/react-virtual";
import {
  memo,
  useCallback,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
  type CSSProperties,
  type KeyboardEvent,
  type ReactNode,
} from "react";
import { useKeys } from "../hooks/useKeys";
import type { Listing, ListingState } from "../listing";
import "./VirtualList.css";

/** Pixels; each row has three lines, whatever is in it. */
const ROW = 80;
/** Rows drawn beyond the edges of the screen. */
const OVERSCAN = 8;
/** Rows without content that say that something is on its way: at first, and behind the last. */
const WAITING_FIRST = 12;
const WAITING_MORE = 3;

interface Props<T extends { id: string }> {
  listing: Listing<T>;
  state: ListingState;
  label: string;
  /** The row that is open beside the list, or null. */
  openId: string | null;
  onOpen: (item: T) => void;
  isUnread: (item: T) => boolean;
  children: (item: T) => ReactNode;
}

/**
 * A listbox of which only what is on the screen is in the page. The box keeps the focus and names
 * the active row, so that scrolling it away does not lose the keyboard's place.
 */
export function VirtualList<T extends { id: string }>(props: Props<T>) {
  const { listing, state, label, openId, onOpen, isUnread, children } = props;
  const box = useRef<HTMLDivElement>(null);
  const [activeId, setActiveId] = useState<string | null>(openId);
  const place = useRef(0);
  const active = activeId === null ? -1 : listing.indexOf(activeId, place.current);
  useEffect(() => void (place.current = Math.max(active, 0)), [active]);

  const waiting = state.error || state.ended ? 0 : state.loaded ? WAITING_MORE : WAITING_FIRST;
  // It is not memoized by a compiler, which this page has none of.
  // oxlint-disable-next-line react/incompatible-library
  const rows = useVirtualizer({
    count: state.count + waiting,
    getScrollElement: () => box.current,
    estimateSize: () => ROW,
    overscan: OVERSCAN,
    rangeExtractor: (range) => withRow(range, active),
  });
  const shown = rows.range;
  const [first, last] = [shown?.startIndex ?? 0, shown?.endIndex ?? 0];
  useEffect(() => listing.look(first, last), [listing, first, last, state.count]);
  useStillness(box, listing, state, first);

  const goTo = (index: number) => {
    const item = listing.at(Math.max(0, Math.min(index, state.count - 1)));
    if (!item) return;
    setActiveId(item.id);
    rows.scrollToIndex(listing.indexOf(item.id, index));
    // Whoever reads goes through what there is to read; else the list has the focus.
    if (openId === null) box.current?.focus({ preventScroll: true });
    else onOpen(item);
  };
  const step = (by: number) => goTo(active < 0 ? (openId === null ? first : 0) : active + by);
  const open = () => {
    const item = active < 0 ? undefined : listing.at(active);
    if (item) onOpen(item);
  };
  const choose = useCallback(
    (item: T) => {
      setActiveId(item.id);
      onOpen(item);
    },
    [onOpen],
  );
  useKeys({ j: () => step(1), k: () => step(-1), o: open });

  const onKeyDown = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor((box.current?.clientHeight ?? ROW) / ROW) - 1);
    const moves: Record<string, () => void> = {
      ArrowDown: () => step(1),
      ArrowUp: () => step(-1),
      PageDown: () => step(page),
      PageUp: () => step(-page),
      Home: () => goTo(0),
      End: () => goTo(state.count - 1),
      Enter: open,
      " ": open,
    };
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    move();
  };

  return (
    <div
      ref={box}
      className="virtual"
      role="listbox"
      tabIndex={0}
      aria-label={label}
      aria-busy={!state.loaded && !state.error}
      aria-activedescendant={active < 0 ? undefined : rowId(activeId ?? "")}
      data-testid="list-box"
      onKeyDown={onKeyDown}
    >
      <div role="presentation" className="virtual-length" style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map(({ index, start }) => {
          const item = listing.at(index);
          if (!item) return <Waiting key={`waiting-${index}`} start={start} />;
          return (
            <Row
              key={item.id}
              item={item}
              index={index}
              start={start}
              size={state.ended ? state.count : -1}
              open={item.id === openId}
              active={index === active}
              unread={isUnread(item)}
              onClick={choose}
            >
              {children}
            </Row>
          );
        })}
      </div>
    </div>
  );
}

interface RowProps<T> {
  item: T;
  index: number;
  /** Pixels from the top of the list. */
  start: number;
  /** Rows of the list; -1 while nobody knows. */
  size: number;
  open: boolean;
  active: boolean;
  unread: boolean;
  onClick: (item: T) => void;
  children: (item: T) => ReactNode;
}

/** While somebody scrolls, only rows that come in are drawn. */
const Row = memo(function Row<T extends { id: string }>(props: RowProps<T>) {
  const { item, index, start, size, open, active, unread, onClick, children } = props;
  return (
    // The keyboard is listened to by the box, which has the focus.
    // oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/interactive-supports-focus
    <div
      id={rowId(item.id)}
      role="option"
      className="row"
      style={placed(start)}
      aria-selected={open}
      aria-posinset={index + 1}
      aria-setsize={size}
      data-active={active}
      data-unread={unread}
      data-testid="message-row"
      data-id={item.id}
      onClick={() => onClick(item)}
    >
      {children(item)}
    </div>
  );
}) as <T extends { id: string }>(props: RowProps<T>) => ReactNode;

function Waiting({ start }: { start: number }) {
  return (
    <div className="row waiting" aria-hidden="true" style={placed(start)}>
      <span />
      <span />
      <span />
    </div>
  );
}

function placed(start: number): CSSProperties {
  return { height: ROW, transform: `translateY(${start}px)` };
}

function rowId(id: string): string {
  return `row-${id}`;
}

/** What is on the screen, and the active row wherever it is: a screen reader asks for it. */
function withRow({ startIndex, endIndex, overscan, count }: Range, active: number): number[] {
  const from = Math.max(0, startIndex - overscan);
  const to = Math.min(count - 1, endIndex + overscan);
  const indexes = Array.from({ length: to - from + 1 }, (_, n) => from + n);
  if (active >= 0 && active < from) return [active, ...indexes];
  return active > to && active < count ? [...indexes, active] : indexes;
}

/** Keeps what somebody has scrolled to where it is when rows come in above it. */
function useStillness<T extends { id: string }>(
  box: { current: HTMLElement | null },
  listing: Listing<T>,
  state: ListingState,
  first: number,
): void {
  const anchor = useRef<{ listing: Listing<T>; id: string; index: number } | null>(null);
  useLayoutEffect(() => {
    const held = anchor.current;
    const element = box.current;
    if (element && held?.listing === listing && element.scrollTop > 0) {
      const moved = listing.indexOf(held.id, held.index) - held.index;
      if (moved > 0 && listing.at(held.index)?.id !== held.id) element.scrollBy(0, moved * ROW);
    }
  }, [box, listing, state]);
  useLayoutEffect(() => {
    const item = listing.at(first);
    anchor.current = item ? { listing, id: item.id, index: first } : null;
  }, [listing, state, first]);
}
