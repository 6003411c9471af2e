/** What every Queue must do. Time is real, since a real queue's is: nothing sleeps, receives wait. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Queue, QueueMessage } from '../../lib/store/index.js';

export interface QueueSubject {
  readonly queue: Queue;
  close(): Promise<void>;
}

export const MAX_DELIVERIES = 3;
const LONG = 20;

/** @param open makes an empty queue that gives a message up after MAX_DELIVERIES deliveries */
export function queueContract(name: string, open: () => Promise<QueueSubject>): void {
  describe(`${name} as a queue`, () => {
    let subject: QueueSubject;
    let queue: Queue;
    beforeEach(async () => {
      subject = await open();
      queue = subject.queue;
    });
    afterEach(() => subject.close());
    const one = async (visibilitySeconds = 60): Promise<QueueMessage> => {
      const [message] = await queue.receive({ visibilitySeconds, waitSeconds: LONG });
      if (message === undefined) throw new Error('no message came');
      return message;
    };
    const drain = async (): Promise<string[]> => {
      const bodies: string[] = [];
      for (;;) {
        const messages = await queue.receive({ max: 10, visibilitySeconds: 60, waitSeconds: 1 });
        if (messages.length === 0) return bodies.toSorted();
        for (const { body, receipt } of messages) {
          bodies.push(body);
          await queue.acknowledge(receipt);
        }
      }
    };

    test('is empty at first, and says so at once', async () => {
      expect(await queue.receive({ visibilitySeconds: 60 })).toEqual([]);
    });

    test('delivers what was sent, byte for byte', async () => {
      const body = JSON.stringify({ text: 'ö "quoted" \n 😀' });
      await queue.send(body);
      expect(await one()).toMatchObject({ body, deliveries: 1 });
    });

    test('delivers every message once while all are acknowledged', async () => {
      const bodies = Array.from({ length: 25 }, (_, at) => `${10 + at}`);
      for (const body of bodies) await queue.send(body);
      expect(await drain()).toEqual(bodies);
    });

    test('gives no more than it was asked for', async () => {
      for (const body of ['a', 'b', 'c', 'd']) await queue.send(body);
      expect((await queue.receive({ max: 3, visibilitySeconds: 60, waitSeconds: 1 })).length).toBeLessThanOrEqual(3);
      expect((await queue.receive({ visibilitySeconds: 60, waitSeconds: 1 })).length).toBeLessThanOrEqual(1);
    });

    test('hides a received message from others', async () => {
      await queue.send('hidden');
      await one();
      expect(await queue.receive({ visibilitySeconds: 60 })).toEqual([]);
    });

    test('never gives one message to two receivers at the same time', async () => {
      for (let at = 0; at < 10; at++) await queue.send(`${at}`);
      const receivers = Array.from({ length: 5 }, async () => {
        const ids: string[] = [];
        for (;;) {
          const messages = await queue.receive({ max: 2, visibilitySeconds: 60, waitSeconds: 1 });
          if (messages.length === 0) return ids;
          ids.push(...messages.map(({ id }) => id));
        }
      });
      const ids = (await Promise.all(receivers)).flat();
      expect(ids).toHaveLength(10);
      expect(new Set(ids).size).toBe(10);
    });

    test('delivers again what was not acknowledged, counting, with another receipt', async () => {
      await queue.send('again');
      const first = await one(1);
      const second = await one();
      expect(second).toMatchObject({ id: first.id, body: 'again', deliveries: 2 });
      expect(second.receipt).not.toBe(first.receipt);
    });

    test('ignores the receipt of an earlier delivery', async () => {
      await queue.send('kept');
      const first = await one(0);
      const second = await one();
      await queue.acknowledge(first.receipt);
      await queue.extend(first.receipt, 0);
      expect(await queue.receive({ visibilitySeconds: 60 })).toEqual([]);
      await queue.extend(second.receipt, 0);
      expect(await one()).toMatchObject({ id: first.id, deliveries: 3 });
    });

    test('ignores a receipt that was already used, or never given', async () => {
      await queue.send('done');
      const { receipt } = await one();
      await queue.acknowledge(receipt);
      await queue.acknowledge(receipt);
      await queue.extend(receipt, 0);
      await queue.acknowledge('no receipt');
      await queue.extend('', 5);
      expect(await drain()).toEqual([]);
    });

    test('hands a message back at once when asked to', async () => {
      await queue.send('back');
      const first = await one(600);
      await queue.extend(first.receipt, 0);
      expect(await one()).toMatchObject({ id: first.id, deliveries: 2 });
    });

    test('keeps a message hidden for longer when asked to', async () => {
      await queue.send('long');
      const { receipt } = await one(1);
      await queue.extend(receipt, 600);
      expect(await queue.receive({ visibilitySeconds: 60, waitSeconds: 2 })).toEqual([]);
      await queue.acknowledge(receipt);
      expect(await drain()).toEqual([]);
    });

    test('wakes a waiting receiver when a message is sent', async () => {
      const waiting = one();
      await queue.send('wake');
      expect(await waiting).toMatchObject({ body: 'wake' });
    });

    test('delivers a delayed message later, not at once', async () => {
      await queue.send('later', { delaySeconds: 1 });
      expect(await queue.receive({ visibilitySeconds: 60 })).toEqual([]);
      expect(await one()).toMatchObject({ body: 'later', deliveries: 1 });
    });

    test('ends a waiting receive when the signal fires', async () => {
      const stop = new AbortController();
      const reason = new Error('stopped');
      const waiting = queue.receive({ visibilitySeconds: 60, waitSeconds: LONG, signal: stop.signal });
      setImmediate(() => stop.abort(reason));
      await expect(waiting).rejects.toBe(reason);
      await expect(queue.receive({ visibilitySeconds: 60, signal: stop.signal })).rejects.toBe(reason);
    });

    test('drops a second message with the same dedupe id', async () => {
      await queue.send('first', { dedupeId: 'same' });
      await queue.send('second', { dedupeId: 'same' });
      await queue.send('other', { dedupeId: 'other' });
      expect(await drain()).toEqual(['first', 'other']);
      await queue.send('third', { dedupeId: 'same' });
      expect(await drain()).toEqual([]);
    });

    test('gives a message up after its deliveries, and shows it without taking it', async () => {
      await queue.send('poison');
      const { id } = await one(0);
      for (let delivery = 2; delivery <= MAX_DELIVERIES; delivery++)
        expect(await one(0)).toMatchObject({ deliveries: delivery });
      expect(await queue.receive({ visibilitySeconds: 60, waitSeconds: 1 })).toEqual([]);
      expect(await queue.deadLetters()).toEqual([{ id, body: 'poison' }]);
      expect(await queue.deadLetters()).toEqual([{ id, body: 'poison' }]);
    });

    test('has no dead letters at first', async () => {
      expect(await queue.deadLetters()).toEqual([]);
    });

    test('takes 256 KiB and refuses more, nothing at all and a delay out of range', async () => {
      const large = 'x'.repeat(256 * 1024);
      await queue.send(large);
      expect((await one()).body).toHaveLength(large.length);
      await expect(queue.send(`${large}x`)).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' });
      await expect(queue.send('')).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
      await expect(queue.send('x', { delaySeconds: 901 })).rejects.toMatchObject({ code: 'MESSAGE_INVALID' });
    });
  });
}
