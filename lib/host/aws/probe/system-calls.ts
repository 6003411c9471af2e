/**
 * System calls that Node has no function for, tried by a program that is made for them: an ELF file of a few hundred
 * bytes that does one call after the other and ends with the number of the first error. A function's machine has no
 * compiler and few tools, so the program is put together here, for the two processors that Lambda has.
 */

/** A text argument is handed over as the address of a C string. */
export interface SystemCall {
  readonly name: keyof (typeof NUMBERS)['x64'];
  readonly arguments: readonly (number | string)[];
}

/** linux/arch: syscall_64.tbl, and asm-generic/unistd.h for arm64. */
const NUMBERS = {
  x64: { mount: 165, chroot: 161, ptrace: 101, unshare: 272, exit: 60 },
  arm64: { mount: 40, chroot: 51, ptrace: 117, unshare: 97, exit: 93 },
} as const;

export type ProbedProcessor = keyof typeof NUMBERS;

export function isProbedProcessor(architecture: string): architecture is ProbedProcessor {
  return architecture in NUMBERS;
}

const HEADERS = 64 + 56;
/** Where a program that is not relocated is usually loaded. */
const BASE = 0x40_0000n;
const ELF_MACHINE = { x64: 62, arm64: 183 } as const;
const ARGUMENTS = 5;

/** The whole file. It ends with 0 when every call succeeded, else with the errno of the first that did not. */
export function callProgram(processor: ProbedProcessor, calls: readonly SystemCall[]): Uint8Array {
  const encode = ENCODERS[processor];
  const number = (name: keyof (typeof NUMBERS)['x64']): bigint => BigInt(NUMBERS[processor][name]);
  // Code of an address is as long as code of any other value, so where the texts begin is known after a first pass.
  const codeAt = (textsAt: bigint): { readonly code: Buffer; readonly texts: Buffer } => {
    const texts: Buffer[] = [];
    let next = textsAt;
    const code = calls.map((call) => {
      const values = call.arguments.map((each) => {
        if (typeof each === 'number') return BigInt(each);
        const text = Buffer.from(`${each}\0`);
        const at = next;
        texts.push(text);
        next += BigInt(text.length);
        return at;
      });
      while (values.length < ARGUMENTS) values.push(0n);
      return encode.call(number(call.name), values, number('exit'));
    });
    return { code: Buffer.concat([...code, encode.end(number('exit'))]), texts: Buffer.concat(texts) };
  };
  const start = BASE + BigInt(HEADERS);
  const { code, texts } = codeAt(start + BigInt(codeAt(0n).code.length));
  return Buffer.concat([headers(processor, HEADERS + code.length + texts.length), code, texts]);
}

/** One loadable segment, which is the file itself: read and executed, never written. */
function headers(processor: ProbedProcessor, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(HEADERS);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  bytes.writeUInt16LE(2, 16);
  bytes.writeUInt16LE(ELF_MACHINE[processor], 18);
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(BASE + BigInt(HEADERS), 24);
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeUInt16LE(64, 52);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(1, 56);
  bytes.writeUInt32LE(1, 64);
  bytes.writeUInt32LE(5, 68);
  bytes.writeBigUInt64LE(BASE, 80);
  bytes.writeBigUInt64LE(BASE, 88);
  bytes.writeBigUInt64LE(BigInt(sizeBytes), 96);
  bytes.writeBigUInt64LE(BigInt(sizeBytes), 104);
  bytes.writeBigUInt64LE(0x1_0000n, 112);
  return bytes;
}

interface Encoder {
  /** The call, and the end of the program if it failed. */
  call(number: bigint, values: readonly bigint[], exit: bigint): Buffer;
  end(exit: bigint): Buffer;
}

const ENCODERS: Readonly<Record<ProbedProcessor, Encoder>> = {
  x64: {
    call: (number, values, exit) =>
      Buffer.concat([
        x64Move([0x48, 0xb8], number),
        // rdi, rsi, rdx, r10, r8
        ...[
          [0x48, 0xbf],
          [0x48, 0xbe],
          [0x48, 0xba],
          [0x49, 0xba],
          [0x49, 0xb8],
        ].map((move, index) => x64Move(move, values[index] ?? 0n)),
        // syscall; test rax, rax; jns over: neg rax; mov rdi, rax; mov rax, exit; syscall
        Buffer.from([0x0f, 0x05, 0x48, 0x85, 0xc0, 0x79, 18, 0x48, 0xf7, 0xd8, 0x48, 0x89, 0xc7]),
        x64Move([0x48, 0xb8], exit),
        Buffer.from([0x0f, 0x05]),
      ]),
    end: (exit) => Buffer.concat([x64Move([0x48, 0xbf], 0n), x64Move([0x48, 0xb8], exit), Buffer.from([0x0f, 0x05])]),
  },
  arm64: {
    call: (number, values, exit) =>
      words([
        ...arm64Move(8n, number),
        ...values.flatMap((value, register) => arm64Move(BigInt(register), value)),
        // svc; cmp x0, #0; b.ge over: neg x0, x0; mov x8, exit; svc
        ...[0xd400_0001n, 0xf100_001fn, 0x5400_00ean, 0xcb00_03e0n],
        ...arm64Move(8n, exit),
        0xd400_0001n,
      ]),
    end: (exit) => words([...arm64Move(0n, 0n), ...arm64Move(8n, exit), 0xd400_0001n]),
  },
};

/** mov r64, imm64 */
function x64Move(opcode: readonly number[], value: bigint): Buffer {
  const immediate = Buffer.alloc(8);
  immediate.writeBigUInt64LE(value);
  return Buffer.concat([Buffer.from(opcode), immediate]);
}

/** movz and three movk, sixteen bits each */
function arm64Move(register: bigint, value: bigint): readonly bigint[] {
  return [0n, 1n, 2n, 3n].map((quarter) => {
    const opcode = quarter === 0n ? 0xd280_0000n : 0xf280_0000n;
    const bits = (value >> (16n * quarter)) & 0xffffn;
    return opcode | (quarter << 21n) | (bits << 5n) | register;
  });
}

function words(values: readonly bigint[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(Number(value), 4 * index);
  return bytes;
}
