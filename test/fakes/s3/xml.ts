/** The little XML that S3 speaks: written from plain objects, read by tag name. */
export type XmlValue =
  string | number | boolean | undefined | readonly XmlValue[] | { readonly [tag: string]: XmlValue };

export function toXml(root: string, value: XmlValue): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${element(root, value)}`;
}

function element(tag: string, value: XmlValue): string {
  if (value === undefined) return '';
  if (isList(value)) return value.map((item) => element(tag, item)).join('');
  if (typeof value !== 'object') return `<${tag}>${escape(String(value))}</${tag}>`;
  const inner = Object.entries(value).map(([name, item]) => element(name, item));
  return `<${tag}>${inner.join('')}</${tag}>`;
}

function isList(value: XmlValue): value is readonly XmlValue[] {
  return Array.isArray(value);
}

function escape(text: string): string {
  return text.replace(/[<>&"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

/** The inner text of every element of that name, in order. */
export function elements(xml: string, tag: string): string[] {
  return [...xml.matchAll(new RegExp(`<${tag}(?:\\s[^>]*)?>([\\s\\S]*?)</${tag}>`, 'g'))].map(
    (match) => match[1] ?? '',
  );
}

/** The text of the first element of that name. */
export function text(xml: string, tag: string): string | undefined {
  return elements(xml, tag)[0]
    ?.replace(/&#(\d+);/g, (_all, code: string) => String.fromCodePoint(Number(code)))
    .replace(
      /&(lt|gt|quot|apos|amp);/g,
      (_all, name: string) => ({ lt: '<', gt: '>', quot: '"', apos: "'" })[name] ?? '&',
    );
}
