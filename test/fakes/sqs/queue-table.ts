/** Standard queues in memory: visibility, delays, receive counts, and redrive to dead letters. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';

export interface Delivery {
  readonly id: string;
  readonly body: string;
  readonly receipt: string;
  readonly receives: number;
}

interface Stored {
  readonly id: string;
  readonly body: string;
  visibleMs: number;
  receives: number;
  receipt: string;
  /** Whose dead letter it is, where SQS made it one. */
  readonly from?: FakeQueue;
}

interface RedrivePolicy {
  readonly deadLetterTargetArn: string;
  readonly maxReceiveCount: number | string;
}

export class FakeQueue {
  private messages: Stored[] = [];
  private readonly waiting = new Set<() => void>();

  constructor(
    readonly name: string,
    readonly attributes: Map<string, string>,
    private readonly findByArn: (arn: string) => FakeQueue | undefined,
  ) {}

  get size(): number {
    return this.messages.length;
  }

  add(body: string, delaySeconds: number, id: string = randomUUID(), from?: FakeQueue): string {
    const visibleMs = Date.now() + delaySeconds * 1000;
    this.messages.push({ id, body, visibleMs, receives: 0, receipt: '', ...(from === undefined ? {} : { from }) });
    this.wake();
    return id;
  }

  /** Waits until a message is visible, the time is over or the client is gone. */
  async receive(max: number, visibilitySeconds: number, waitSeconds: number, signal: AbortSignal): Promise<Delivery[]> {
    const deadline = Date.now() + waitSeconds * 1000;
    for (;;) {
      const taken = this.take(max, visibilitySeconds);
      if (taken.length > 0 || Date.now() >= deadline || signal.aborted) return taken;
      await this.change(deadline, signal);
    }
  }

  /** Everything that is not in flight, taken out. */
  empty(): readonly { readonly body: string; readonly from?: FakeQueue }[] {
    const nowMs = Date.now();
    const taken = this.messages.filter(({ visibleMs }) => visibleMs <= nowMs);
    this.messages = this.messages.filter(({ visibleMs }) => visibleMs > nowMs);
    return taken;
  }

  delete(receipt: string): boolean {
    const before = this.messages.length;
    this.messages = this.messages.filter((message) => message.receipt !== receipt);
    return this.messages.length < before;
  }

  /** False when the receipt names no message that is in flight. */
  hide(receipt: string, seconds: number): boolean {
    const message = this.messages.find((found) => found.receipt === receipt);
    if (message === undefined || message.visibleMs <= Date.now()) return false;
    message.visibleMs = Date.now() + seconds * 1000;
    this.wake();
    return true;
  }

  private take(max: number, visibilitySeconds: number): Delivery[] {
    const nowMs = Date.now();
    const taken: Delivery[] = [];
    const redrive = this.attributes.get('RedrivePolicy');
    const policy = redrive === undefined ? undefined : (JSON.parse(redrive) as RedrivePolicy);
    for (const message of this.messages) {
      if (taken.length === max) break;
      if (message.visibleMs > nowMs) continue;
      if (policy !== undefined && message.receives >= Number(policy.maxReceiveCount)) {
        this.messages = this.messages.filter((other) => other !== message);
        this.findByArn(policy.deadLetterTargetArn)?.add(message.body, 0, message.id, this);
        continue;
      }
      message.receives += 1;
      message.receipt = randomBytes(24).toString('base64');
      message.visibleMs = nowMs + visibilitySeconds * 1000;
      const { id, body, receipt, receives } = message;
      taken.push({ id, body, receipt, receives });
    }
    return taken;
  }

  private change(deadline: number, signal: AbortSignal): Promise<void> {
    const next = Math.min(deadline, ...this.messages.map(({ visibleMs }) => visibleMs));
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, Math.max(1, next - Date.now()));
      this.waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  private wake(): void {
    for (const done of this.waiting) done();
  }
}

export function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}
