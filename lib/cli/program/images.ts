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
  addTags(shown, deps);
  shown
    .description('images of the registry, or what is inside one')
    .argument('[reference]', 'repository[:tag]')
    .action(async (reference: string | undefined, options: Shared) => {
      await images(defined({ reference, json: options.json }), await connected(deps, options));
    });
}

function addTags(shown: Command, deps: CliDeps): void {
  // What stands before the name belongs to the command above.
  const optionsOf = (command: Command): Shared & { readonly digest?: string; readonly referrers?: boolean } =>
    command.optsWithGlobals();
  talking(shown.command('history'))
    .description('where a tag pointed, newest first')
    .argument('<image>', 'repository[:tag]')
    .action(async (image: string, _: unknown, command: Command) => {
      const options = optionsOf(command);
      const { tagHistory } = await import('../commands/image-tags.js');
      await tagHistory(defined({ image, json: options.json }), await connected(deps, options));
    });
  talking(shown.command('rm'))
    .description('take a tag away; it can be brought back for seven days')
    .argument('<image>', 'repository[:tag]')
    .action(async (image: string, _: unknown, command: Command) => {
      const options = optionsOf(command);
      const { removeTag } = await import('../commands/image-tags.js');
      await removeTag(defined({ image, json: options.json }), await connected(deps, options));
    });
  talking(shown.command('undelete'))
    .description('point a tag at where it pointed before, with what was deleted')
    .argument('<image>', 'repository[:tag]')
    .option('--digest <digest>', 'one of its history (default: the newest)')
    .action(async (image: string, _: unknown, command: Command) => {
      const { digest, ...options } = optionsOf(command);
      const { undeleteTag } = await import('../commands/image-tags.js');
      await undeleteTag(defined({ image, digest, json: options.json }), await connected(deps, options));
    });
  talking(shown.command('push'))
    .description('copy an image, all its platforms, to another registry; sends only what it lacks')
    .argument('<image>', 'repository[:tag][@digest]')
    .argument('<target>', 'host/repository[:tag]')
    .option('--referrers', 'take along what is attached to it: signatures, SBOMs')
    .action(async (image: string, to: string, _: unknown, command: Command) => {
      const { referrers, ...options } = optionsOf(command);
      const { pushImage } = await import('../commands/image-tags.js');
      await pushImage(defined({ image, to, referrers, json: options.json }), await connected(deps, options));
    });
}
