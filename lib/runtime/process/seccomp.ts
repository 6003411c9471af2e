/**
 * The seccomp filter of a container, in the shape of the OCI runtime-spec (config-linux.md, Seccomp). It allows what
 * docker allows: the listed calls, plus those that an added capability opens.
 */
import { ALLOWED_SYSCALLS, ARCHITECTURE_SYSCALLS, CAPABILITY_SYSCALLS } from './seccomp-syscalls.js';

export interface SeccompArgument {
  readonly index: number;
  readonly value: number;
  readonly valueTwo?: number;
  readonly op: 'SCMP_CMP_EQ' | 'SCMP_CMP_LT' | 'SCMP_CMP_MASKED_EQ';
}

export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO';
  readonly errnoRet?: number;
  readonly args?: readonly SeccompArgument[];
}

export interface SeccompFilter {
  readonly defaultAction: 'SCMP_ACT_ERRNO';
  readonly defaultErrnoRet: number;
  readonly architectures: readonly string[];
  readonly syscalls: readonly SeccompRule[];
}

const EPERM = 1;
const ENOSYS = 38;

/**
 * docker's, but for x32 beside x86_64: hardly a kernel has it, and the runtime takes as long to compile the filter for it as
 * for the other two together. A call of it ends the process.
 */
const ARCHITECTURES: Readonly<Record<string, readonly string[]>> = {
  x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
  s390x: ['SCMP_ARCH_S390X', 'SCMP_ARCH_S390'],
  ppc64: ['SCMP_ARCH_PPC64LE'],
  riscv64: ['SCMP_ARCH_RISCV64'],
};

/** NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: a container makes no namespaces of its own. */
const NAMESPACE_FLAGS = 0x7e020000;

/** personality(2): Linux, its variants without address randomisation or with the old layout, and "tell me". */
const PERSONALITIES = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];

/** Below AF_ALG (38), and these above it: AF_ALG and AF_VSOCK (40) reach past the container. */
const SOCKET_FAMILIES_BELOW = 38;
const SOCKET_FAMILIES_ABOVE = [39, 41, 42, 43, 44, 45];

/**
 * @param capabilities with `CAP_`
 * @param architecture Node's name, as in process.arch
 */
export function seccompFilter(capabilities: readonly string[], architecture: string): SeccompFilter {
  const opened = capabilities.flatMap((name) => CAPABILITY_SYSCALLS[name] ?? []);
  const names = new Set([...ALLOWED_SYSCALLS, ...(ARCHITECTURE_SYSCALLS[architecture] ?? []), ...opened]);
  const rules: SeccompRule[] = [{ names: [...names], action: 'SCMP_ACT_ALLOW' }, ...socketRules()];
  for (const value of PERSONALITIES) rules.push(allowWhen('personality', { index: 0, value, op: 'SCMP_CMP_EQ' }));
  if (!capabilities.includes('CAP_SYS_ADMIN')) {
    // The flags are clone's first argument, on s390 its second.
    const index = architecture === 's390x' ? 1 : 0;
    rules.push(allowWhen('clone', { index, value: NAMESPACE_FLAGS, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }));
    // clone3 hides its flags behind a pointer. ENOSYS makes the C library fall back to clone.
    rules.push({ names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS });
  }
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures: ARCHITECTURES[architecture] ?? [],
    syscalls: rules,
  };
}

function socketRules(): SeccompRule[] {
  return [
    allowWhen('socket', { index: 0, value: SOCKET_FAMILIES_BELOW, op: 'SCMP_CMP_LT' }),
    ...SOCKET_FAMILIES_ABOVE.map((value) => allowWhen('socket', { index: 0, value, op: 'SCMP_CMP_EQ' })),
  ];
}

function allowWhen(name: string, argument: SeccompArgument): SeccompRule {
  return { names: [name], action: 'SCMP_ACT_ALLOW', args: [argument] };
}
