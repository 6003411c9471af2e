/** `wharf images`. */
import { type Command, Option } from 'commander';
import { defined } from '../../platform/values/index.js';
import { images } from '../commands/images.js';
import type { CliDeps } from '../deps.js';
import { connected, type Shared, talking } from './shared-options.js';

interface ExportOptions {
  readonly output: string;
  readonly format: 'oci' | 'docker' | 'rootfs';
  readonly platform?: string;
}

export function addImages(wharf: Command, deps: CliDeps): void {
  const shown = talking(wharf.command('images'));
  talking(shown.command('export'))
    .description('an image as a tar')
    .argument('<reference>', 'repository[:tag]')
    .requiredOption('-o, --output <file>', 'where to; - is standard output')
    .addOption(new Option('--format <format>', 'which tar').choices(['oci', 'docker', 'rootfs']).default('oci'))
    .option('--platform <os/arch>', 'which image of several')
    .action(async (reference: string, _: unknown, command: Command) => {
      // What stands before the name belongs to the command above.
      const options: Shared & ExportOptions = command.optsWithGlobals();
      const { output: file, format, platform, json } = options;
      const { exportImage } = await import('../commands/export-image.js');
      const input = defined({ reference, file, format, platform, json });
      await exportImage(input, await connected(deps, options));
    });
  shown
    .description('images of the registry, or what is inside one')
    .argument('[reference]', 'repository[:tag]')
    .action(async (reference: string | undefined, options: Shared) => {
      await images(defined({ reference, json: options.json }), await connected(deps, options));
    });
}
