/**
 * White space as Go has it, since docker's parser is written with Go's functions: JavaScript's `\s` and `trim` also
 * take U+FEFF and leave U+0085.
 */

/** Go's unicode.IsSpace, of a UTF-16 code unit. */
export function isSpace(code: number): boolean {
  if (code <= 0x20) return code === 0x20 || (code >= 0x09 && code <= 0x0d);
  if (code < 0x85) return false;
  return (
    code === 0x85 ||
    code === 0xa0 ||
    code === 0x1680 ||
    (code >= 0x2000 && code <= 0x200a) ||
    code === 0x2028 ||
    code === 0x2029 ||
    code === 0x202f ||
    code === 0x205f ||
    code === 0x3000
  );
}

/** What separates words on a line: no line feed, nothing beyond ASCII. */
export function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0b || code === 0x0c || code === 0x0d;
}

export function trimLeft(text: string): string {
  let start = 0;
  while (start < text.length && isSpace(text.charCodeAt(start))) start++;
  return text.slice(start);
}

export function trimSpace(text: string): string {
  let end = text.length;
  while (end > 0 && isSpace(text.charCodeAt(end - 1))) end--;
  return trimLeft(text.slice(0, end));
}

/** The line without its trailing carriage returns and line feeds. */
export function trimLineEnd(line: string): string {
  let end = line.length;
  while (end > 0 && (line[end - 1] === '\n' || line[end - 1] === '\r')) end--;
  return line.slice(0, end);
}

/** Cuts at runs of blanks. Leading or trailing blanks give an empty first or last word. */
export function splitBlanks(text: string): string[] {
  return text.split(/[\t\v\f\r ]+/);
}

/** Cuts once at the first run of blanks; one element when there is none. */
export function cutBlanks(text: string): [string] | [string, string] {
  let start = 0;
  while (start < text.length && !isBlank(text.charCodeAt(start))) start++;
  if (start === text.length) return [text];
  let end = start;
  while (end < text.length && isBlank(text.charCodeAt(end))) end++;
  return [text.slice(0, start), text.slice(end)];
}
