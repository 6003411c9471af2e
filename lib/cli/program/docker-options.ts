/** Options of `docker build` that have no meaning here: each is refused by name, with what to do instead. */
import { type Command, Option } from 'commander';
import { AppError } from '../../errors/index.js';

const REFUSED: readonly (readonly [flags: string, instead: string])[] = [
  ['--add-host <host:ip>', 'write the name into /etc/hosts in the RUN that needs it'],
  ['--allow <entitlement>', 'whoever runs the builder allows host networks and insecure RUNs'],
  ['--attest <attributes>', 'no attestations are made'],
  ['--builder <name>', '--url names the platform that builds'],
  ['--cache-from <place>', 'the step cache is shared by all builds of the platform: leave it out'],
  ['--cache-to <place>', 'the step cache is shared by all builds of the platform: leave it out'],
  ['--cgroup-parent <name>', 'whoever runs the builder limits what a RUN may use'],
  ['--cpu-quota <number>', 'whoever runs the builder limits what a RUN may use'],
  ['--iidfile <file>', '--json prints the whole result, with imageId'],
  ['--isolation <kind>', 'every RUN has a sandbox of its own: leave it out'],
  ['--load', 'docker pull from this registry, or -o type=docker,dest=image.tar'],
  ['-m, --memory <bytes>', 'whoever runs the builder limits what a RUN may use'],
  ['--metadata-file <file>', '--json prints the whole result'],
  ['--network <mode>', 'RUN --network=none or host, in the Dockerfile'],
  ['--provenance <value>', 'no attestations are made'],
  ['--pull', 'base images are looked up at every build: leave it out'],
  ['--push', 'every image with a tag is in the registry when the build ends: leave it out'],
  ['-q, --quiet', '--progress quiet'],
  ['--sbom <value>', 'no attestations are made'],
  ['--security-opt <option>', 'RUN --security=…, in the Dockerfile'],
  ['--shm-size <bytes>', 'RUN --mount=type=tmpfs,target=/dev/shm,size=…, in the Dockerfile'],
  ['--squash', 'COPY --from=<stage> / / into a last stage'],
  ['--ulimit <limit>', 'ulimit in the RUN that needs it'],
];

/** Adds the options, out of sight. */
export function refuseDockerOptions(command: Command): Command {
  for (const [flags] of REFUSED) command.addOption(new Option(flags).hideHelp());
  return command;
}

/** @throws AppError OPTION_UNSUPPORTED for the first that was given */
export function checkDockerOptions(options: object): void {
  for (const [flags, instead] of REFUSED) {
    const option = new Option(flags);
    if (!(option.attributeName() in options)) continue;
    throw new AppError('OPTION_UNSUPPORTED', `${option.long} of docker build is not offered`, { hint: instead });
  }
}
