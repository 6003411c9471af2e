/** Signals by name or number, for STOPSIGNAL: `SIGTERM`, `term`, `15`, `RTMIN+3`. */
import { refusal } from '../errors.js';

const FIRST_REAL_TIME = 34;
const LAST_REAL_TIME = 64;
/** Linux numbers them in this order, from 1. */
const NAMES = [
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT',
  'CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS',
].flatMap((line) => line.split(' '));
const ALIASES: Readonly<Record<string, string>> = { CLD: 'CHLD', IOT: 'ABRT', POLL: 'IO' };

/** The signal's number on Linux. @throws AppError DOCKERFILE_SIGNAL */
export function parseStopSignal(text: string): number {
  const number = /^[+-]?\d{1,9}$/.test(text) ? Number(text) : byName(text.toUpperCase().replace(/^SIG/, ''));
  if (number !== undefined && number !== 0) return number;
  throw refusal('DOCKERFILE_SIGNAL', `"${text}" is no signal`, {
    hint: 'a name like SIGTERM or RTMIN+3, or a number',
    word: text,
  });
}

function byName(name: string): number | undefined {
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realTime !== null) {
    const [, end, sign, distance = '0'] = realTime;
    const away = Number(distance);
    if (end === 'MIN' && sign !== '-' && away <= 15) return FIRST_REAL_TIME + away;
    if (end === 'MAX' && sign !== '+' && away <= 14) return LAST_REAL_TIME - away;
    return undefined;
  }
  const number = NAMES.indexOf(ALIASES[name] ?? name) + 1;
  return number === 0 ? undefined : number;
}
