/**
 * Log groups on one machine: how many days the lines of each are kept after a task's end. The operator writes a file,
 * `log-groups.json` in the data folder, that maps the name of a group (or `*`) to its retention, as CloudWatch Logs
 * calls it. Read anew each time old lines are removed, so a change needs no restart.
 */
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import type { LogRetention } from '../../engine/agent/index.js';
import { AppError, errnoCode } from '../../errors/index.js';

const DAY_MS = 24 * 60 * 60 * 1000;
const file = z.record(z.string(), z.strictObject({ retentionInDays: z.number().positive().max(3653) }));
type Groups = z.infer<typeof file>;

export class LogGroups implements LogRetention {
  private constructor(private readonly path: string) {}

  /** A file that is not there says nothing of any group. @throws AppError LOG_GROUPS_INVALID */
  static async open(path: string): Promise<LogGroups> {
    const groups = new LogGroups(path);
    await groups.current();
    return groups;
  }

  async current(): Promise<(group: string) => number | undefined> {
    const groups = await this.read();
    return (group) => {
      const entry = Object.entries(groups).find(([name]) => name === group)?.[1] ?? groups['*'];
      return entry === undefined ? undefined : entry.retentionInDays * DAY_MS;
    };
  }

  private async read(): Promise<Groups> {
    let value: unknown;
    try {
      value = JSON.parse(await readFile(this.path, 'utf8'));
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return {};
      if (error instanceof SyntaxError) throw invalid(this.path, 'it is not JSON');
      throw error;
    }
    const parsed = file.safeParse(value);
    if (parsed.success) return parsed.data;
    const [group = ''] = parsed.error.issues[0]?.path ?? [];
    throw invalid(this.path, `${JSON.stringify(group)} has no retentionInDays above 0 and up to 3653`);
  }
}

function invalid(path: string, why: string): AppError {
  return new AppError('LOG_GROUPS_INVALID', `${path} cannot be used: ${why}`, {
    kind: 'invalid',
    hint: '{"<awslogs-group or *>": {"retentionInDays": 14}}',
  });
}
