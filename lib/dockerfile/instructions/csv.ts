/** One line of comma-separated fields, with Go's quoting: mounts and devices are written so. */
import { refusal } from '../errors.js';

/** @throws AppError DOCKERFILE_CSV */
export function csvFields(text: string): string[] {
  const bad = (what: string): Error =>
    refusal('DOCKERFILE_CSV', `"${text}" ${what}`, {
      hint: 'key=value,key=value; a field with a comma goes in double quotes, a quote inside it is doubled',
      word: text,
    });
  const line = text.replace(/\r?\n$/, '');
  if (line === '') throw bad('is empty');
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (line[at] !== '"') {
      const comma = line.indexOf(',', at);
      const field = line.slice(at, comma < 0 ? undefined : comma);
      if (field.includes('"')) throw bad('has a bare " in a field');
      fields.push(field);
      if (comma < 0) return fields;
      at = comma + 1;
      continue;
    }
    let field = '';
    for (at++; ; at += 2) {
      const quote = line.indexOf('"', at);
      if (quote < 0) throw bad('has a " without its partner');
      field += line.slice(at, quote);
      at = quote;
      if (line[at + 1] !== '"') break;
      field += '"';
    }
    fields.push(field);
    at++;
    if (at >= line.length) return fields;
    if (line[at] !== ',') throw bad('has text after a quoted field');
    at++;
  }
}
