/** Variables and word splitting, in tables: word, then what it becomes. */
import { describe, expect, test } from '@jest/globals';
import { AppError } from '../../lib/errors/index.js';
import { expand, expandHeredoc, expandWord, expandWords } from '../../lib/dockerfile/index.js';

const env = new Map(
  Object.entries({
    name: 'wharf',
    empty: '',
    path: '/usr/local/bin/tool.tar.gz',
    spaced: '  two  words ',
    stars: 'a*b?c\\d',
    lines: 'one\ntwo',
    größe: 'XL',
    a1: 'letter-first',
  }),
);

describe('plain references', () => {
  test.each([
    ['plain', 'plain'],
    ['$name', 'wharf'],
    ['${name}', 'wharf'],
    ['pre-$name-post', 'pre-wharf-post'],
    ['pre${name}post', 'prewharfpost'],
    ['$name$name', 'wharfwharf'],
    ['$nameless', ''],
    ['${missing}', ''],
    ['$empty.', '.'],
    ['$', '$'],
    ['a$', 'a$'],
    ['$ name', '$ name'],
    ['$.name', '$.name'],
    ['\\$name', '$name'],
    ['\\${name}', '${name}'],
    ['\\\\$name', '\\wharf'],
    ['$größe', 'XL'],
    ['$1name', 'name'],
    ['$12', ''],
    ['$a1', 'letter-first'],
    ['$@x', 'x'],
    ['$$name', 'name'],
    ['$spaced', '  two  words '],
  ])('%s becomes %j', (word, expected) => {
    expect(expandWord(word, env)).toBe(expected);
  });
});

describe('quotes and escapes', () => {
  test.each([
    ['"$name"', 'wharf'],
    ["'$name'", '$name'],
    ['"it\'s $name"', "it's wharf"],
    ['\'say "hi"\'', 'say "hi"'],
    ['a"b"c\'d\'e', 'abcde'],
    ['""', ''],
    ['\\"', '"'],
    ["\\'", "'"],
    ['"\\""', '"'],
    ['"\\n"', '\\n'],
    ['\\n', 'n'],
    ['"\\\\"', '\\'],
    ["'\\\\'", '\\\\'],
    ['end\\', 'end'],
    ['two\\ words', 'two words'],
    ['"two  words"', 'two  words'],
  ])('%s becomes %j', (word, expected) => {
    expect(expandWord(word, env)).toBe(expected);
  });

  test('the backtick escapes when the file says so, and the backslash no longer does', () => {
    expect(expandWord('`$name \\$name C:\\dir', env, { escape: '`' })).toBe('$name \\wharf C:\\dir');
  });
});

describe('defaults, alternatives, demands', () => {
  test.each([
    ['${missing-word}', 'word'],
    ['${missing:-word}', 'word'],
    ['${empty-word}', ''],
    ['${empty:-word}', 'word'],
    ['${name-word}', 'wharf'],
    ['${missing-}', ''],
    ['${missing:-$name}', 'wharf'],
    ['${missing:-${empty:-${name}}}', 'wharf'],
    ['${missing:-"a b"}', 'a b'],
    ["${missing:-'$name'}", '$name'],
    ['${missing:-\\}}', '}'],
    ['${missing:-a:b/c}', 'a:b/c'],
    ['${missing+word}', ''],
    ['${empty+word}', 'word'],
    ['${empty:+word}', ''],
    ['${name:+word}', 'word'],
    ['${name:+<$name>}', '<wharf>'],
    ['${name?never}', 'wharf'],
    ['${empty?never}', ''],
    ['${name:?never}', 'wharf'],
  ])('%s becomes %j', (word, expected) => {
    expect(expandWord(word, env)).toBe(expected);
  });

  test.each([
    ['${missing?}', 'missing: is not allowed to be unset'],
    ['${missing:?}', 'missing: is not allowed to be unset'],
    ['${empty:?}', 'empty: is not allowed to be empty'],
    ['${missing?needed for $name}', 'missing: needed for wharf'],
  ])('%s is refused with its message', (word, message) => {
    const attempt = (): string => expandWord(word, env);
    expect(attempt).toThrow(expect.objectContaining({ code: 'DOCKERFILE_VARIABLE_REQUIRED', message }));
  });
});

describe('trimming and replacing', () => {
  test.each([
    ['${path#*/}', 'usr/local/bin/tool.tar.gz'],
    ['${path##*/}', 'tool.tar.gz'],
    ['${path%.*}', '/usr/local/bin/tool.tar'],
    ['${path%%.*}', '/usr/local/bin/tool'],
    ['${path%/*}', '/usr/local/bin'],
    ['${path%%/*}', ''],
    ['${path#nothing}', '/usr/local/bin/tool.tar.gz'],
    ['${path#/us?}', '/local/bin/tool.tar.gz'],
    ['${path%.g?}', '/usr/local/bin/tool.tar'],
    ['${path#}', '/usr/local/bin/tool.tar.gz'],
    ['${path##}', '/usr/local/bin/tool.tar.gz'],
    ['${stars#a\\*}', 'b?c\\d'],
    ['${stars#*\\?}', 'c\\d'],
    ['${stars%\\\\d}', 'a*b?c'],
    ['${name/a/A}', 'whArf'],
    ['${path/\\//:}', ':usr/local/bin/tool.tar.gz'],
    ['${path//\\//:}', ':usr:local:bin:tool.tar.gz'],
    ['${path/l*l/}', '/usr/.tar.gz'],
    ['${path//?/x}', 'x'.repeat(26)],
    ['${name//}', undefined],
    ['${name///-}', '-w-h-a-r-f-'],
    ['${name//*/all}', 'all'],
    ['${name//a/$0$0}', 'whrf'],
    ['${lines#*}', 'one\ntwo'],
    ['${lines##*}', '\ntwo'],
    ['${lines//*/L}', 'L\nL'],
    ['${missing#x}', ''],
    ['${missing/x/y}', ''],
  ])('%s becomes %j', (word, expected) => {
    if (expected === undefined) expect(() => expandWord(word, env)).toThrow(AppError);
    else expect(expandWord(word, env)).toBe(expected);
  });

  test('a dollar in the replacement means a group, as in docker', () => {
    const more = new Map([...env, ['r', '<$0|$1|$$|${0}>']]);
    expect(expandWord('${name//a/$r}', more)).toBe('wh<a||$|a>rf');
    expect(expandWord('${name/a/$r}', more)).toBe('wh<$0|$1|$$|${0}>rf');
  });

  test('characters beyond the basic plane count as one', () => {
    const faces = new Map([['v', '😀😁x']]);
    expect(expandWord('${v#?}', faces)).toBe('😁x');
    expect(expandWord('${v%?x}', faces)).toBe('😀');
    expect(expandWord('${v//?/-}', faces)).toBe('---');
  });
});

describe('refusals', () => {
  test.each([
    ['${', 'bad substitution'],
    ['${}', 'bad substitution'],
    ['${:-x}', 'bad substitution'],
    ['${{name}', 'bad substitution'],
    ['${name', 'has no "}"'],
    ['${name:-x', 'has no "}"'],
    ['${name:-${empty}', 'has no "}"'],
    ['${name/a', 'has no "/"'],
    ['${name=x}', 'unknown operator "="'],
    ['${name:=x}', 'unknown operator ":="'],
    ['${name:3}', 'unknown operator ":3"'],
    ['${name:#x}', 'unknown operator ":#"'],
    ['${name^^}', 'unknown operator "^"'],
    ['${.}', 'unknown operator "."'],
    ['"open', 'has a " without its partner'],
    ["it's", "has a ' without its partner"],
    ['"ends\\"', 'has a " without its partner'],
    ['${name#\\x}', 'unknown escape'],
  ])('%s: %s', (word, what) => {
    const attempt = (): string => expandWord(word, env);
    expect(attempt).toThrow(AppError);
    expect(attempt).toThrow(what);
  });

  test('the position is in the message', () => {
    expect(() => expandWord('abc${name^}', env)).toThrow('(character 4)');
  });

  test('a short word cannot ask for gigabytes, nor nest without end', () => {
    const big = new Map([['b', 'x'.repeat(100_000)]]);
    expect(() => expandWord('$b'.repeat(1000), big)).toThrow('more than 1048576 characters');
    expect(() => expandWord('${b//x/yyyyyyyyyyyyyyyyyyyy}', big)).toThrow('more than 1048576 characters');
    expect(() => expandWord('${a:-'.repeat(5000), env)).toThrow('nests deeper');
  });

  test('a pattern of many stars is refused when it gets too costly, never slow', () => {
    const value = new Map([['v', 'a'.repeat(50_000)]]);
    expect(expandWord(`\${v##${'*a'.repeat(20)}b}`, value)).toBe('a'.repeat(50_000));
    expect(() => expandWord(`\${v//${'?'.repeat(5000)}b/x}`, value)).toThrow(AppError);
  });
});

describe('splitting into words', () => {
  test.each([
    ['', []],
    ['   ', []],
    ['one', ['one']],
    [' one  two ', ['one', 'two']],
    ['"one two" three', ['one two', 'three']],
    ['one\\ two', ['one two']],
    ['$spaced', ['two', 'words']],
    ['x$spaced', ['x', 'two', 'words']],
    ['"$spaced"x', ['  two  words x']],
    ['$empty', []],
    ['a${missing:-b c}d', ['ab', 'cd']],
    ['8000-${missing:-8010}/tcp', ['8000-8010/tcp']],
    ['""', []],
  ])('%j gives %j', (word, expected) => {
    expect(expandWords(word, env)).toEqual(expected);
  });
});

describe('options', () => {
  test('rawQuotes keeps quotes, rawEscapes keeps escapes, keepUnset keeps unset references', () => {
    expect(expandWord('"a" \'b\' $name', env, { rawQuotes: true })).toBe('"a" \'b\' wharf');
    expect(expandWord('a\\ b', env, { rawEscapes: true })).toBe('a\\ b');
    expect(expandWord('$nope ${nope} ${nope:-x} ${nope/a/b} $name', env, { keepUnset: true })).toBe(
      '$nope ${nope} ${nope:-x} ${nope/a/b} wharf',
    );
  });

  test('a lookup function serves as well as a map', () => {
    expect(expandWord('$x-$y', (name) => (name === 'x' ? '1' : undefined))).toBe('1-');
  });

  test('names that were set and those that were not are told', () => {
    const { used, unset } = expand('$name ${missing:-$empty} ${other+x}', env);
    expect([...used]).toEqual(['name', 'empty']);
    expect([...unset]).toEqual(['missing', 'other']);
  });

  test('heredoc bodies keep their quotes and obey the backslash only', () => {
    const { text, unset } = expandHeredoc('say "$name" it\'s \\$name `x` $missing\n', env);
    expect(text).toBe('say "wharf" it\'s $name `x` \n');
    expect([...unset]).toEqual(['missing']);
  });
});
