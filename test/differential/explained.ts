/**
 * The table of differences that are right: the classic builder of docker 20.10 does one thing, BuildKit (what
 * `docker build` is today) does another, and Wharf follows BuildKit. A line that no case needs any more fails the
 * suite.
 */
import type { Difference } from './compare.js';

export interface Explanation {
  readonly id: string;
  /** What each builder does, and why ours is right. */
  readonly reason: string;
  /** Names of cases, or `any`. Of named cases each must need it. */
  readonly cases: readonly string[] | 'any';
  readonly subject: RegExp;
  readonly field: string;
  /** Of the file. */
  readonly type?: string;
  /** What docker's and our value must be; anything when absent. */
  readonly docker?: RegExp;
  readonly wharf?: RegExp;
}

export const EXPLAINED: readonly Explanation[] = [
  {
    id: 'stage-time',
    reason:
      'What a build makes itself is dated by what it stands on (`created` of the base, newest file of a layer), so ' +
      'that the same input gives the same digest on any day; docker dates it by its clock. See lib/build/README.md.',
    cases: 'any',
    subject: /^\//,
    field: 'mtime',
    docker: /^when it was built$/,
    wharf: /^(1704164645|1700000000|0)$/,
  },
  {
    id: 'copied-folder-time',
    reason: 'BuildKit dates a new destination folder like the folder whose contents are copied (fsutil/copy).',
    cases: ['from-stage-times'],
    subject: /^\//,
    field: 'mtime',
    type: 'directory',
    docker: /^when it was built$/,
  },
  {
    id: 'args-escaped',
    reason: 'BuildKit sets ArgsEscaped with every CMD (dispatchCmd); only Windows reads it.',
    cases: 'any',
    subject: /^config\.ArgsEscaped$/,
    field: 'value',
    docker: /^$/,
    wharf: /^true$/,
  },
  {
    id: 'scratch-working-dir',
    reason: 'BuildKit starts `FROM scratch` with the working directory / (emptyImage); the classic builder with none.',
    cases: 'any',
    subject: /^config\.WorkingDir$/,
    field: 'value',
    docker: /^$/,
    wharf: /^"\/"$/,
  },
  {
    id: 'empty-layer-is-a-layer',
    reason:
      'A RUN or WORKDIR that changes nothing is a layer without entries in BuildKit; the classic builder drops the ' +
      'layer and marks the history entry.',
    cases: [
      'alpine-style-packages',
      'cmd-last-wins',
      'go-distroless-style',
      'go-vendor-nonroot',
      'java-tomcat-war',
      'java-wildfly-user',
      'node-pnpm-workspaces',
      'php-apache',
      'php-fpm-laravel',
      'php-nginx-supervisor',
      'python-poetry-gunicorn',
      'ruby-sinatra',
      'run-no-change',
      'run-undo-own-change',
      'run-writes-etc-hosts',
      'run-writes-to-dev-shm',
      'wordpress-style',
      'workdir-existing',
    ],
    subject: /^history$/,
    field: 'value',
  },
  {
    id: 'onbuild-has-no-history',
    reason: 'The classic builder commits an image for each ONBUILD; BuildKit only notes it in the config.',
    cases: [
      'onbuild-arg-and-workdir',
      'onbuild-not-for-grandchild',
      'onbuild-recorded',
      'onbuild-runs-in-child-stage',
      'ruby-gem-home',
    ],
    subject: /^history$/,
    field: 'value',
  },
  {
    id: 'label-option-has-no-history',
    reason: 'The classic builder turns --label into instructions; BuildKit sets it in the config.',
    cases: ['label-from-command-line'],
    subject: /^history$/,
    field: 'value',
  },
  {
    id: 'arg-after-env',
    reason:
      'In BuildKit the later of ARG and ENV is what RUN sees (dispatchArg adds to the state); classic: always ENV.',
    cases: ['arg-env-wins'],
    subject: /^\/y$/,
    field: 'content',
  },
  {
    id: 'arg-inherited',
    reason: 'In BuildKit a stage built FROM another inherits its ARG values; in the classic builder it does not.',
    cases: ['env-inherited-by-stage'],
    subject: /^\/x$/,
    field: 'content',
  },
  {
    id: 'chown-keeps-setuid',
    reason: 'The classic builder sets owners after modes, and so loses setuid and setgid; BuildKit does it before.',
    cases: ['copy-modes', 'from-stage-keeps-owner'],
    subject: /^\//,
    field: 'mode',
    type: 'file',
    wharf: /^[246]/,
  },
  {
    id: 'capability-survives-copy',
    reason:
      'BuildKit keeps security.capability in COPY --from (fsutil copies attributes); the classic builder loses it.',
    cases: ['run-setcap-copied'],
    subject: /^\/bin\/capcat$/,
    field: 'xattrs',
    docker: /^{}$/,
  },
  {
    id: 'ignored-dockerfile-folder',
    reason:
      'The classic client sends an ignored Dockerfile, and its folder stays in the context; BuildKit reads it apart.',
    cases: ['dockerfile-elsewhere-ignore'],
    subject: /^\/app\/build$/,
    field: 'entry',
  },
  {
    id: 'exception-below-ignored-folder',
    reason:
      'For `!**/*.js` the classic client does not look into ignored folders (only a literal beginning makes it); ' +
      'BuildKit does (fsutil, onlyPrefixExcludeExceptions).',
    cases: ['ignore-everything-but'],
    subject: /^\/app\/(node_modules|src)/,
    field: 'entry',
    docker: /^absent$/,
  },
  {
    id: 'healthcheck-is-replaced',
    reason:
      'BuildKit replaces an inherited HEALTHCHECK; the classic builder keeps the options that are not given again.',
    cases: ['healthcheck-none'],
    subject: /^config\.Healthcheck$/,
    field: 'value',
  },
  {
    id: 'chown-of-implied-folders',
    reason:
      'BuildKit gives folders on the way to the destination to whom --chown names; classic only for single files.',
    cases: ['go-vendor-nonroot', 'java-quarkus', 'nginx-replace-config'],
    subject: /^\/(deployments|etc\/ssl|var|var\/lib|var\/lib\/shop)$/,
    field: 'owner',
  },
  {
    id: 'link-to-unchanged-file',
    reason:
      'A new name of an unchanged lower file: BuildKit leaves the unchanged name out of the layer (util/overlay), so ' +
      'the new names are a file of their own; docker writes the old name again.',
    cases: ['run-hard-link-to-lower-file'],
    subject: /^\/(low|high|higher)$/,
    field: 'names',
  },
  {
    id: 'volume-keeps-writes',
    reason:
      'What a RUN writes to a VOLUME stays in BuildKit; the classic builder mounts a volume there and forgets it.',
    cases: ['volume-then-run-writes'],
    subject: /^\/data\/after$/,
    field: 'entry',
    docker: /^absent$/,
  },
  {
    id: 'mount-points-of-the-runtime',
    reason:
      'On a root without them, BuildKit leaves in the layer of a RUN what the runtime mounts on; classic does not.',
    cases: 'any',
    subject: /^\/(dev|proc|sys)$/,
    field: 'entry',
    type: 'directory',
    docker: /^absent$/,
    wharf: /^directory 0755 0:0$/,
  },
  {
    id: 'workdir-belongs-to-user',
    reason: 'BuildKit gives a folder that WORKDIR makes to the USER; the classic builder to root.',
    cases: ['java-layered', 'workdir-after-user', 'workdir-inherited'],
    subject: /^\//,
    field: 'owner',
    type: 'directory',
    docker: /^0:0$/,
  },
];

export interface Explained {
  readonly open: readonly Difference[];
  /** Ids of the explanations that were needed. */
  readonly used: ReadonlySet<string>;
}

export function explain(name: string, differences: readonly Difference[], table = EXPLAINED): Explained {
  const used = new Set<string>();
  const open = differences.filter((difference) => {
    const found = table.find((line) => applies(line, name, difference));
    if (found !== undefined) used.add(found.id);
    return found === undefined;
  });
  return { open, used };
}

/** Lines that the cases that ran did not need. @param whole whether every case ran */
export function notNeeded(
  ran: ReadonlyMap<string, ReadonlySet<string>>,
  whole: boolean,
  table = EXPLAINED,
): readonly string[] {
  return table.flatMap(({ id, cases }) => {
    if (cases === 'any') {
      const isNeeded = [...ran.values()].some((used) => used.has(id));
      return isNeeded || !whole ? [] : [`${id}: no case needs it any more`];
    }
    return cases.flatMap((name) => {
      const used = ran.get(name);
      if (used === undefined) return whole ? [`${id}: there is no case ${name}`] : [];
      return used.has(id) ? [] : [`${id}: ${name} does not need it any more`];
    });
  });
}

function applies(line: Explanation, name: string, difference: Difference): boolean {
  return (
    (line.cases === 'any' || line.cases.includes(name)) &&
    line.subject.test(difference.subject) &&
    line.field === difference.field &&
    (line.type === undefined || line.type === difference.type) &&
    (line.docker?.test(difference.docker) ?? true) &&
    (line.wharf?.test(difference.wharf) ?? true)
  );
}
