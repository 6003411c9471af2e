/** Answers of AWS's query protocols: elements and text, no mixed content, no attribute that means anything. */

export interface XmlElement {
  readonly name: string;
  readonly text: string;
  readonly children: readonly XmlElement[];
}

interface OpenElement {
  readonly name: string;
  text: string;
  readonly children: XmlElement[];
}

const TOKEN = /<\?[^>]*\?>|<(\/?)([A-Za-z][\w.:-]*)[^>]*?(\/?)>|([^<]+)/g;
const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** The document's root; an empty element for what is no XML. */
export function parseXml(text: string): XmlElement {
  const root: OpenElement = { name: '', text: '', children: [] };
  const open: OpenElement[] = [root];
  for (const [, closes, name, isEmpty, content] of text.matchAll(TOKEN)) {
    const at = open.at(-1) ?? root;
    if (content !== undefined) at.text += decoded(content);
    else if (name === undefined) continue;
    else if (closes === '/') {
      if (open.length > 1) open.pop();
    } else {
      const element: OpenElement = { name, text: '', children: [] };
      at.children.push(element);
      if (isEmpty !== '/') open.push(element);
    }
  }
  return root.children[0] ?? root;
}

/** The first element of each name in turn; undefined where one is missing. */
export function element(from: XmlElement | undefined, ...path: readonly string[]): XmlElement | undefined {
  return path.reduce<XmlElement | undefined>((at, name) => at?.children.find((child) => child.name === name), from);
}

export function textOf(from: XmlElement | undefined, ...path: readonly string[]): string | undefined {
  return element(from, ...path)?.text.trim();
}

/** Members of a list: `member` in one protocol, `item` in the other. */
export function membersOf(from: XmlElement | undefined, ...path: readonly string[]): readonly XmlElement[] {
  return element(from, ...path)?.children.filter(({ name }) => name === 'member' || name === 'item') ?? [];
}

function decoded(text: string): string {
  return text.replaceAll(/&(#x?[0-9a-fA-F]+|\w+);/g, (whole, name: string) => {
    if (!name.startsWith('#')) return ENTITIES[name] ?? whole;
    const code = name.startsWith('#x') ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
    return Number.isInteger(code) && code <= 0x10_ffff ? String.fromCodePoint(code) : whole;
  });
}
