/** `--chmod` of COPY and ADD: octal, or symbolic as chmod(1) has it, read with no umask. */
import { refusal } from '../errors.js';

export interface ModeChange {
  /** The new permission bits (0 to 0o7777) of a file that has `mode`. */
  apply(mode: number, isDirectory: boolean): number;
}

interface Clause {
  /** Bits the clause may touch; all of them when nobody was named. */
  readonly who: number;
  readonly operator: '+' | '-' | '=';
  readonly permissions: string;
}

const STICKY = 0o1000;
const EXECUTE = 0o111;
const BITS: Readonly<Record<string, number>> = { r: 0o444, w: 0o222, x: EXECUTE, X: EXECUTE, s: 0o6000, t: STICKY };
const WHO: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o0007, a: 0o6777 };
const SHIFT: Readonly<Record<string, number>> = { u: 6, g: 3, o: 0 };

/** @throws AppError DOCKERFILE_CHMOD */
export function parseChmod(text: string): ModeChange {
  const refuse = (): Error =>
    refusal('DOCKERFILE_CHMOD', `"${text}" is no file mode`, {
      hint: 'octal from 0 to 07777, like 0755, or symbolic, like u=rwX,go=rX',
      word: text,
    });
  if (/^\d/.test(text)) {
    const mode = /^[0-7]{1,12}$/.test(text) ? Number.parseInt(text, 8) : -1;
    if (mode < 0 || mode > 0o7777) throw refuse();
    return { apply: () => mode };
  }
  const clauses = text.split(',').flatMap((part) => parseClauses(part) ?? [undefined]);
  const known = clauses.filter((clause) => clause !== undefined);
  if (known.length !== clauses.length) throw refuse();
  return {
    apply: (mode, isDirectory) =>
      known.reduce((changed, clause) => applyClause(clause, changed, mode, isDirectory), mode & 0o7777),
  };
}

/** `ug=rw+X` is two clauses for the same people. */
function parseClauses(part: string): Clause[] | undefined {
  const match = /^([ugoa]*)((?:[-+=][rwxXstugo]*)+)$/.exec(part);
  if (match === null) return undefined;
  const people = match[1] ?? '';
  const named = people.split('').reduce((bits, person) => bits | (WHO[person] ?? 0), 0);
  return [...(match[2] ?? '').matchAll(/([-+=])([rwxXstugo]*)/g)].map(([, operator, permissions = '']) => ({
    who: people === '' ? 0o6777 : named,
    operator: operator as Clause['operator'],
    permissions,
  }));
}

/** As BSD's setmode does it: letters gather until a copied class or the end puts them into force. */
function applyClause(clause: Clause, current: number, original: number, isDirectory: boolean): number {
  const { operator } = clause;
  // The sticky bit belongs to nobody: it is in reach whenever somebody beyond "others" is meant.
  const reachesSpecial = (clause.who & ~0o7) !== 0;
  const who = clause.who | (reachesSpecial && clause.permissions.includes('t') ? STICKY : 0);
  let mode = current;
  let gathered = 0;
  let conditional = 0;
  let assigned = false;
  const putIntoForce = (evenEmpty: boolean): void => {
    if (gathered !== 0 || evenEmpty) {
      if (operator === '-') mode &= ~(gathered & who);
      else mode = (operator === '=' ? mode & ~who : mode) | (gathered & who);
    }
    if (isDirectory || (original & EXECUTE) !== 0) mode |= conditional & who;
    gathered = 0;
    conditional = 0;
  };
  for (const permission of clause.permissions) {
    const shift = SHIFT[permission];
    if (shift !== undefined) {
      putIntoForce(false);
      mode = copyClass((mode >> shift) & 0o7, operator, who, mode);
      assigned = true;
    } else if (permission === 'X' && operator !== '-') conditional = EXECUTE;
    else gathered |= BITS[permission] ?? 0;
  }
  putIntoForce(operator === '=' && !assigned);
  return mode;
}

/** `g=u`: the permissions of one class given to others. Set-id bits stay. */
function copyClass(value: number, operator: Clause['operator'], who: number, mode: number): number {
  const classes = who & 0o777;
  const spread = ((value << 6) | (value << 3) | value) & classes;
  if (operator === '-') return mode & ~spread;
  return (operator === '=' ? mode & ~classes : mode) | spread;
}
