/** Places as JSON that is never one text. */
import { expect, test } from '@jest/globals';
import { array, assert, asyncProperty, integer, nat, tuple } from 'fast-check';
import { type Place, Places } from '../../lib/build/context/context-places.js';
import { decodeWithPlaces, encodeWithPlaces } from '../../lib/build/context/places-json.js';

function placesOf(places: readonly Place[]): Places {
  const all = new Places();
  for (const place of places) all.push(place);
  return all;
}

const listed = (places: Places): Place[] => Array.from({ length: places.length }, (_, file) => places.at(file));

async function textOf(source: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

async function* cut(text: string, length: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

test('it is one document of JSON, and is read back however it is cut', async () => {
  const place = tuple(nat(40), nat({ max: 2 ** 31 - 1 }));
  await assert(
    asyncProperty(
      array(place, { maxLength: 50 }),
      array(nat(500_000)),
      integer({ min: 1, max: 300 }),
      async (...all) => {
        const [places, missing, length] = all;
        const text = await textOf(encodeWithPlaces({ packs: [], missing }, placesOf(places)));
        expect(JSON.parse(text)).toEqual({ packs: [], missing, files: places });
        const { rest, files } = await decodeWithPlaces(cut(text, length));
        expect(rest).toEqual({ packs: [], missing, files: [] });
        expect(listed(files)).toEqual(places);
      },
    ),
    { numRuns: 100 },
  );
});

test('more places than are written at once are one list', async () => {
  const places = Array.from({ length: 9001 }, (_, i): Place => [i % 3, i * 1e6]);
  const text = await textOf(encodeWithPlaces({}, placesOf(places)));
  expect(JSON.parse(text)).toEqual({ files: places });
  expect(listed((await decodeWithPlaces(cut(text, 64))).files)).toEqual(places);
});

test('what stands after the places is read as well: earlier versions wrote the missing files there', async () => {
  const document = {
    packs: [],
    files: [
      [0, 0],
      [1, 5],
    ],
    announced: [{ path: 'ä]"files":[', sizeBytes: 5 }],
  };
  const { rest, files } = await decodeWithPlaces(cut(JSON.stringify(document), 7));
  expect(rest).toEqual({ ...document, files: [] });
  expect(listed(files)).toEqual([
    [0, 0],
    [1, 5],
  ]);
});

test('a document that is cut short is refused', async () => {
  await expect(decodeWithPlaces(cut('{"packs":[],"files":[[0,0],[0,', 100))).rejects.toThrow(SyntaxError);
});
