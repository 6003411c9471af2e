/**
 * The images that cases start from, made on this machine: `busybox:1` from its static busybox, `debian:bookworm-slim`
 * by debootstrap. One config and one layer tar each, so that both builders begin with the same bytes.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { platformOfArch } from '../../lib/oci/index.js';
import { must } from './host-commands.js';

export type BaseName = 'busybox' | 'debian';

export interface BaseImageFile {
  readonly repository: string;
  readonly tag: string;
  readonly layer: string;
  readonly diffId: string;
  readonly config: Buffer;
  /** The same as `docker load` takes it. */
  readonly dockerArchive: string;
}

interface Recipe {
  readonly tag: string;
  readonly config: object;
  /** Shell, run in the empty root. */
  readonly script: string;
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Debian's busybox comes without these two, which Alpine's users write every day. */
const ACCOUNTS = String.raw`
cat > bin/addgroup <<'EOF'
#!/bin/sh
gid=900
while getopts g:S option; do [ "$option" != g ] || gid=$OPTARG; done
shift $((OPTIND - 1))
echo "$1:x:$gid:" >> /etc/group
EOF
cat > bin/adduser <<'EOF'
#!/bin/sh
uid=900 group= home= shell=/bin/ash make=yes
while getopts u:G:h:s:SDH option; do
  case $option in u) uid=$OPTARG ;; G) group=$OPTARG ;; h) home=$OPTARG ;; s) shell=$OPTARG ;; H) make= ;; esac
done
shift $((OPTIND - 1))
[ "$group" ] || { group=$1; addgroup -g "$uid" "$1"; }
gid=$(grep "^$group:" /etc/group | cut -d: -f3)
[ "$home" ] || home=/home/$1
echo "$1:x:$uid:$gid::$home:$shell" >> /etc/passwd
[ -z "$make" ] || { mkdir -p "$home" && chmod 2755 "$home" && chown "$uid:$gid" "$home"; }
EOF
chmod 755 bin/addgroup bin/adduser`;

const RECIPES: Readonly<Record<BaseName, Recipe>> = {
  busybox: {
    tag: '1',
    config: { Env: [PATH], Cmd: ['sh'] },
    script: `
      mkdir -p bin dev etc home proc root sys tmp usr/bin usr/sbin var/spool/mail var/tmp var/www
      cp "$(command -v busybox)" bin/busybox
      for name in $(bin/busybox --list); do [ "$name" = busybox ] || ln bin/busybox "bin/$name"; done
      ln -s ../../bin/env usr/bin/env
      ${ACCOUNTS}
      printf 'root:x:0:0:root:/root:/bin/sh\\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\\nwww-data:x:33:33:www-data:/var/www:/bin/false\\nnobody:x:65534:65534:nobody:/home:/bin/false\\n' > etc/passwd
      printf 'root:x:0:\\ndaemon:x:1:\\nadm:x:4:\\nstaff:x:50:\\nwww-data:x:33:\\nnobody:x:65534:\\n' > etc/group
      printf 'root:*:::::::\\n' > etc/shadow
      chmod 0640 etc/shadow; chmod 0700 root; chmod 1777 tmp var/tmp; chown -R 33:33 var/www
      find . -exec touch -h -d @1700000000 {} +`,
  },
  debian: {
    tag: 'bookworm-slim',
    config: { Env: [PATH], Cmd: ['bash'] },
    script: `
      debootstrap --variant=minbase bookworm . http://deb.debian.org/debian >&2
      rm -rf var/cache/apt/* var/lib/apt/lists/* var/log/* usr/share/doc/* usr/share/man/* usr/share/locale/* dev/* \
        debootstrap etc/resolv.conf etc/hostname
      printf '#!/bin/sh\\nexit 101\\n' > usr/sbin/policy-rc.d; chmod 755 usr/sbin/policy-rc.d
      printf 'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };\\n' > etc/apt/apt.conf.d/docker-clean`,
  },
};

/** Kept from run to run: a Debian root takes half a minute. */
export function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'wharf-differential');
}

export async function baseImage(name: BaseName): Promise<BaseImageFile> {
  const recipe = RECIPES[name];
  const identity = createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 12);
  const folder = join(cacheFolder(), `${name}-${identity}`);
  if (!(await isThere(folder))) await make(recipe, folder);
  const layer = join(folder, 'layer.tar');
  const diffId = `sha256:${await sha256(layer)}`;
  const repository = name;
  const config = configOf(recipe, diffId);
  const dockerArchive = join(folder, 'docker.tar');
  if (!(await isThere(dockerArchive))) await writeDockerArchive(folder, `${repository}:${recipe.tag}`, config);
  return { repository, tag: recipe.tag, layer, diffId, config, dockerArchive };
}

/** Appears whole or not at all. */
async function make(recipe: Recipe, folder: string): Promise<void> {
  await mkdir(cacheFolder(), { recursive: true });
  const work = await mkdtemp(`${folder}-`);
  try {
    const root = join(work, 'root');
    await mkdir(root);
    await must('sh', ['-euc', `umask 022\n${recipe.script}`], { cwd: root });
    const attributes = ['--xattrs', '--xattrs-include=security.capability', '--numeric-owner', '--sort=name'];
    await must('tar', [...attributes, '--format=pax', '-cf', join(work, 'layer.tar'), '-C', root, '.']);
    await rm(root, { recursive: true });
    await rename(work, folder);
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    throw error;
  }
}

function configOf(recipe: Recipe, diffId: string): Buffer {
  const document = {
    ...platformOfArch(process.arch),
    created: '2024-01-02T03:04:05Z',
    config: recipe.config,
    rootfs: { type: 'layers', diff_ids: [diffId] },
    history: [{ created: '2024-01-02T03:04:05Z', created_by: 'made on this machine' }],
  };
  return Buffer.from(JSON.stringify(document));
}

async function writeDockerArchive(folder: string, name: string, config: Buffer): Promise<void> {
  const manifest = [{ Config: 'config.json', RepoTags: [name], Layers: ['layer.tar'] }];
  await writeFile(join(folder, 'config.json'), config);
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(manifest));
  const files = ['manifest.json', 'config.json', 'layer.tar'];
  await must('tar', ['-cf', join(folder, 'docker.tar.partial'), '-C', folder, ...files]);
  await rename(join(folder, 'docker.tar.partial'), join(folder, 'docker.tar'));
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
