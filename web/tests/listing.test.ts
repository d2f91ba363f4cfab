import { expect, test, vi } from "vitest";
import { Listing, type Page } from "../src/listing";
import { pause } from "../src/pause";

interface Row {
  id: string;
}

type Fetch = (cursor: string | null) => Promise<Page<Row>>;

/** A server with rows in an order, newest first; a cursor is the id it goes on below. */
function server(ids: number[], limit = 10) {
  const rows = ids.toSorted((a, b) => b - a);
  const fetchPage = vi.fn<Fetch>(async (cursor) => {
    const below = rows.filter((id) => cursor === null || id < Number(cursor));
    const items = below.slice(0, limit).map((id) => ({ id: String(id) }));
    return { items, nextCursor: below.length > limit ? items.at(-1)!.id : null };
  });
  const add = (id: number) => {
    rows.push(id);
    rows.sort((a, b) => b - a);
  };
  const remove = (id: number) => rows.splice(rows.indexOf(id), 1);
  return { fetchPage, add, remove };
}

const upTo = (n: number) => Array.from({ length: n }, (_, index) => index + 1);
const idsOf = (listing: Listing<Row>) =>
  Array.from({ length: listing.state.count }, (_, index) => listing.at(index)?.id);

/** Looks as somebody does who scrolls from the top to that row. */
async function scrollTo(listing: Listing<Row>, row: number) {
  for (let first = 0; first <= row; first += 10) await look(listing, first);
}

async function look(listing: Listing<Row>, first: number) {
  listing.look(first, first + 9);
  await vi.waitFor(() => expect(listing.at(Math.min(first, listing.state.count - 1))).toBeTruthy());
  // Somebody who reads stays longer than the server takes.
  await pause(2);
}

test("pages follow each other as somebody scrolls, each row once, to the end", async () => {
  const { fetchPage } = server(upTo(95));
  const listing = new Listing<Row>(fetchPage);
  listing.open();
  await vi.waitFor(() => expect(listing.state.loaded).toBe(true));
  expect(listing.state.ended).toBe(false);
  await scrollTo(listing, 94);
  await vi.waitFor(() => expect(listing.state.ended).toBe(true));
  expect(idsOf(listing)).toEqual(
    upTo(95)
      .toReversed()
      .map((id) => String(id)),
  );
});

test("no more pages are held than there is room for, and one that made room comes back", async () => {
  const { fetchPage } = server(upTo(1000));
  const listing = new Listing<Row>(fetchPage);
  listing.open();
  await scrollTo(listing, 900);
  await vi.waitFor(() => expect(listing.state.count).toBeGreaterThan(900));
  expect(idsOf(listing).filter(Boolean).length).toBeLessThanOrEqual(300);
  expect(listing.at(0)).toBeUndefined();
  await look(listing, 0);
  expect(listing.at(0)?.id).toBe("1000");
});

test("what comes in and what goes is there after a refresh, without a hole or a double", async () => {
  const { fetchPage, add, remove } = server(upTo(60));
  const listing = new Listing<Row>(fetchPage);
  listing.open();
  await scrollTo(listing, 59);
  await vi.waitFor(() => expect(listing.state.ended).toBe(true));
  add(61);
  remove(55);
  remove(12);
  await listing.refresh();
  await scrollTo(listing, 59);
  const expected = upTo(61)
    .filter((id) => id !== 55 && id !== 12)
    .toReversed()
    .map((id) => String(id));
  await vi.waitFor(() => expect(idsOf(listing)).toEqual(expected));
});

test("what comes in at the top moves nothing for somebody far below", async () => {
  const { fetchPage, add } = server(upTo(400));
  const listing = new Listing<Row>(fetchPage);
  listing.open();
  await scrollTo(listing, 300);
  const before = listing.at(300);
  add(401);
  fetchPage.mockClear();
  await listing.refresh();
  expect(listing.at(300)).toEqual(before);
  expect(fetchPage.mock.calls.map(([cursor]) => cursor)).not.toContain(null);
});

test("a refresh while a page is under way fetches that page again", async () => {
  const { fetchPage, add } = server(upTo(5));
  const slow = vi.fn<Fetch>(async (cursor) => {
    const page = await fetchPage(cursor);
    await pause(20);
    return page;
  });
  const listing = new Listing<Row>(slow);
  listing.open();
  await vi.waitFor(() => expect(slow).toHaveBeenCalledTimes(1));
  add(6);
  await listing.refresh();
  expect(listing.at(0)?.id).toBe("6");
  expect(slow).toHaveBeenCalledTimes(2);
});

test("nothing is fetched before the list is open, and once then", async () => {
  const { fetchPage } = server(upTo(5));
  const listing = new Listing<Row>(fetchPage);
  listing.look(0, 9);
  listing.open();
  await vi.waitFor(() => expect(listing.state.ended).toBe(true));
  expect(fetchPage).toHaveBeenCalledTimes(1);
});

test("a failure is told and not tried again by itself; a refresh mends it", async () => {
  const { fetchPage } = server(upTo(5));
  fetchPage.mockRejectedValueOnce(new Error("No answer"));
  const listing = new Listing<Row>(fetchPage);
  listing.open();
  await vi.waitFor(() => expect(listing.state.error?.message).toBe("No answer"));
  listing.look(0, 9);
  expect(fetchPage).toHaveBeenCalledTimes(1);
  fetchPage.mockRejectedValueOnce(new Error("Still none"));
  await expect(listing.refresh()).rejects.toThrow("Still none");
  await listing.refresh();
  expect(listing.state).toMatchObject({ error: null, count: 5, ended: true });
});

test("an empty list has ended, and a page without rows is no end", async () => {
  const empty = new Listing<Row>(server([]).fetchPage);
  empty.open();
  await vi.waitFor(() =>
    expect(empty.state).toMatchObject({ loaded: true, ended: true, count: 0 }),
  );
  const pages: Record<string, Page<Row>> = {
    first: { items: [], nextCursor: "second" },
    second: { items: [{ id: "1" }], nextCursor: null },
  };
  const sparse = new Listing<Row>(async (cursor) => pages[cursor ?? "first"]!);
  sparse.open();
  await vi.waitFor(() => expect(sparse.state).toMatchObject({ ended: true, count: 1 }));
});
