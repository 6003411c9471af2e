import { describe, expect, test } from '@jest/globals';
import type { BaseImage } from '../../lib/build/plan/steps.js';
import { PlanLint } from '../../lib/build/plan/plan-lint.js';
import { type Plan, planBuild, type PlanInput } from '../../lib/build/plan/plan.js';
import { parseDockerfile } from '../../lib/dockerfile/index.js';
import { AppError } from '../../lib/errors/index.js';
import { digestOf } from '../../lib/oci/index.js';
import { failure } from './fixture.js';

const amd64 = { os: 'linux', architecture: 'amd64' };

function base(name: string, config: object = {}): BaseImage {
  return {
    name,
    digest: digestOf(name),
    platform: amd64,
    layers: [
      {
        diffId: digestOf(`layer of ${name}`),
        descriptor: { mediaType: 'x', digest: digestOf(`blob of ${name}`), size: 1 },
      },
    ],
    config: {
      architecture: 'amd64',
      os: 'linux',
      config: { Env: ['PATH=/bin', 'LANG=C'], Cmd: ['sh'], ...config },
      rootfs: {},
    },
  };
}

async function plan(text: string, more: Partial<PlanInput> = {}): Promise<Plan> {
  const dockerfile = parseDockerfile(text);
  return planBuild({
    dockerfile,
    lint: new PlanLint(dockerfile, undefined, () => undefined),
    args: {},
    labels: {},
    platform: amd64,
    buildPlatform: amd64,
    base: async (name) => {
      if (name === 'unknown') throw new AppError('BUILD_BASE_UNKNOWN', 'base image unknown is not known');
      return base(name, name === 'trigger' ? { OnBuild: ['COPY . /x', 'RUN make'] } : {});
    },
    layout: () => Promise.reject(new Error('no layouts here')),
    times: { context: async () => undefined, remote: async () => undefined },
    warn: () => undefined,
    ...more,
  });
}

const history = async (text: string, more: Partial<PlanInput> = {}): Promise<string[]> =>
  (await plan(text, more)).target.image.history.map(
    (h) => `${h.created_by}${h.empty_layer === true ? ' (empty)' : ''}`,
  );

describe('history is written as BuildKit writes it', () => {
  test('for every instruction', async () => {
    const text = `FROM busybox
ARG A=1 B
ENV X="a b" Y=$A
LABEL l="v w"
WORKDIR /w
WORKDIR sub
RUN echo $X
RUN ["echo", "hi"]
COPY --chown=1:2 --chmod=755 a b /d/
ADD x.tar .
CMD ["a", "b\\n"]
CMD echo "q"
ENTRYPOINT ["/e"]
EXPOSE 80 53/udp 8000-8001
USER app
VOLUME /v /u
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=1m30s CMD exit 0
HEALTHCHECK NONE
SHELL ["/bin/ash", "-ec"]
RUN x
MAINTAINER me
ONBUILD RUN later`;
    expect(await history(text)).toEqual([
      'ARG A=1 B (empty)',
      'ENV X=a b Y=1 (empty)',
      'LABEL l=v w (empty)',
      'WORKDIR /w',
      'WORKDIR /w/sub',
      'RUN |2 A=1 B= /bin/sh -c echo $X # buildkit',
      'RUN |2 A=1 B= echo hi # buildkit',
      'COPY --chown=1:2 --chmod=755 a b /d/ # buildkit',
      'ADD x.tar . # buildkit',
      'CMD ["a" "b\\n"] (empty)',
      'CMD ["/bin/sh" "-c" "echo \\"q\\""] (empty)',
      'ENTRYPOINT ["/e"] (empty)',
      'EXPOSE [53/udp 80/tcp 8000/tcp 8001/tcp] (empty)',
      'USER app (empty)',
      'VOLUME [/v /u] (empty)',
      'STOPSIGNAL SIGTERM (empty)',
      'HEALTHCHECK {Test:[CMD-SHELL exit 0] Interval:30s Timeout:1m30s StartPeriod:0s StartInterval:0s Retries:0} (empty)',
      'HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0} (empty)',
      'SHELL [/bin/ash -ec] (empty)',
      'RUN |2 A=1 B= /bin/ash -ec x # buildkit',
      'MAINTAINER me (empty)',
    ]);
  });

  test('with heredocs put back into the command', async () => {
    expect(await history('FROM busybox\nRUN <<EOF\necho a\nEOF\nRUN cat <<A > /x\nin\nA\nCOPY <<f /d\nq\nf')).toEqual([
      'RUN /bin/sh -c echo a\n # buildkit',
      'RUN /bin/sh -c cat <<A > /x\nin\nA # buildkit',
      'COPY <<f /d # buildkit',
    ]);
  });

  test('without proxy arguments, which RUN gets all the same', async () => {
    const made = await plan('FROM busybox\nRUN x', { args: { HTTP_PROXY: 'http://p' } });
    expect(made.target.image.history[0]?.created_by).toBe('RUN /bin/sh -c x # buildkit');
    expect(made.steps[0]?.op).toMatchObject({ hiddenEnv: ['HTTP_PROXY=http://p'] });
  });
});

describe('the config', () => {
  test('inherits from the base, and ENTRYPOINT clears an inherited CMD only', async () => {
    expect((await plan('FROM busybox\nENTRYPOINT ["/e"]')).target.image.config.Cmd).toBeUndefined();
    expect((await plan('FROM busybox\nCMD ["c"]\nENTRYPOINT ["/e"]')).target.image.config.Cmd).toEqual(['c']);
    const two = 'FROM busybox AS a\nCMD ["c"]\nFROM a\nENTRYPOINT ["/e"]';
    expect((await plan(two)).target.image.config.Cmd).toBeUndefined();
  });

  test('starts from nothing with a PATH and a root folder', async () => {
    const { config } = (await plan('FROM scratch')).target.image;
    expect(config).toEqual({
      WorkingDir: '/',
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    });
  });

  test('gets the labels of the request', async () => {
    const { config } = (await plan('FROM scratch\nLABEL a=1 b=2', { labels: { b: '3' } })).target.image;
    expect(config.Labels).toEqual({ a: '1', b: '3' });
  });

  test('remembers ONBUILD for children, runs it once and forgets it', async () => {
    const made = await plan('FROM trigger\nRUN own');
    expect(made.steps.map((step) => `${step.name} ${step.instruction}`)).toEqual([
      '[1/3] ONBUILD COPY . /x',
      '[2/3] ONBUILD RUN make',
      '[3/3] RUN own',
    ]);
    expect(made.target.image.config.OnBuild).toBeUndefined();
    const own = await plan('FROM busybox AS p\nONBUILD RUN late\nFROM p AS c\nFROM c');
    expect(own.steps.map((step) => step.instruction)).toEqual(['ONBUILD RUN late']);
    expect((await plan('FROM busybox\nONBUILD RUN late')).target.image.config.OnBuild).toEqual(['RUN late']);
  });

  test("does not let an image's ONBUILD reach the stages of this file", async () => {
    const hijack = (name: string): Promise<BaseImage> =>
      Promise.resolve(base(name, name === 'evil' ? { OnBuild: ['COPY --from=secrets / /x'] } : {}));
    const made = await plan('FROM scratch AS secrets\nCOPY key /\nFROM evil', { base: hijack });
    expect(made.steps.map((step) => step.op)).toMatchObject([
      { sources: [{ source: { from: 'image', image: { name: 'secrets' } } }] },
    ]);
  });
});

describe('the graph', () => {
  const text = `ARG BASE=busybox
FROM \${BASE} AS one
RUN one
FROM busybox AS unused
RUN unused
FROM one AS two
RUN two
FROM scratch AS out
COPY --from=two /x /x`;

  test('holds only the stages that the target needs', async () => {
    const made = await plan(text);
    expect([...made.stages.keys()]).toEqual([0, 2, 3]);
    expect(made.steps.map((step) => step.name)).toEqual(['[one 1/1]', '[two 1/1]', '[out 1/1]']);
    expect([...(await plan(text, { target: 'ONE' })).stages.keys()]).toEqual([0]);
  });

  test('takes global arguments into FROM and platform arguments into stages that ask', async () => {
    const asked: string[] = [];
    const made = await plan('ARG V=1\nFROM busybox:$V AS a\nARG TARGETARCH\nARG V\nRUN echo', {
      args: { V: '2' },
      base: (name) => {
        asked.push(name);
        return Promise.resolve(base(name));
      },
    });
    expect(asked).toEqual(['busybox:2']);
    expect(made.steps[0]?.op).toMatchObject({ env: ['PATH=/bin', 'LANG=C', 'TARGETARCH=amd64', 'V=2'] });
  });

  test('keeps arguments of one stage out of the next', async () => {
    const made = await plan('FROM busybox AS a\nARG X=1\nRUN a\nFROM busybox\nCOPY --from=a /a /\nRUN b');
    expect(made.steps.at(-1)?.op).toMatchObject({ env: ['PATH=/bin', 'LANG=C'] });
  });

  test('says which build arguments nothing declares', async () => {
    const warnings: string[] = [];
    await plan('FROM scratch\nARG KNOWN', {
      args: { KNOWN: '1', TYPO: '2', http_proxy: '3' },
      warn: ({ message }) => void warnings.push(message),
    });
    expect(warnings).toEqual(['build arguments that no ARG declares: TYPO']);
  });
});

describe('what is not offered or wrong is refused with its place', () => {
  test.each([
    ['FROM unknown', 'BUILD_BASE_UNKNOWN', 1, 6],
    ['FROM ${NONE}', 'BUILD_BASE_INVALID', 1, 6],
    ['FROM --platform=$BULIDPLATFORM busybox', 'PLATFORM_INVALID', 1, 17],
    ['FROM busybox\nRUN --device=x y', 'BUILD_UNSUPPORTED_RUN_DEVICE', 2, 5],
    ['FROM busybox\nRUN --network=bridge x', 'DOCKERFILE_FLAG', 2, 5],
    ['FROM busybox\nRUN --mount=type=ssh,source=/x x', 'BUILD_MOUNT_INVALID', 2, 5],
    ['FROM busybox\nRUN --mount=type=tmpfs x', 'BUILD_MOUNT_INVALID', 2, 5],
    ['FROM busybox\nADD --checksum=sha256:1 http://x/ /', 'BUILD_CHECKSUM_INVALID', 2, 5],
    ['FROM busybox\nCOPY http://x/y /', 'BUILD_REMOTE_INVALID', 2, 6],
    ['FROM busybox\nADD git://github.com/a/b.git /', 'BUILD_UNSUPPORTED_ADD_REMOTE', 2, 5],
    ['FROM busybox\nADD https://u:p@x/y /', 'BUILD_REMOTE_INVALID', 2, 5],
    ['FROM busybox\nCOPY --chmod=99 a /', 'DOCKERFILE_CHMOD', 2, 14],
    ['FROM busybox\nCOPY --from=$X a /', 'BUILD_FROM_INVALID', 2, 13],
    ['FROM busybox\nCOPY --from=7 a /', 'BUILD_FROM_INVALID', 2, 13],
    ['FROM busybox AS me\nCOPY --from=me a /', 'BUILD_FROM_INVALID', 2, 13],
    ['FROM busybox\nEXPOSE $P', 'DOCKERFILE_PORT', 2, 1],
    ['FROM busybox\nSTOPSIGNAL SIGNOPE', 'DOCKERFILE_SIGNAL', 2, 12],
  ])('%j', async (text, code, line, column) => {
    const error = await failure(plan(text.includes('EXPOSE') ? text.replace('EXPOSE', 'ENV P=x\nEXPOSE') : text));
    expect(error.code).toBe(code);
    expect(error.details).toMatchObject({ line: text.includes('EXPOSE') ? line + 1 : line, column });
    expect(error.hint === undefined && code !== 'BUILD_BASE_UNKNOWN').toBe(false);
  });

  test('a target that is not there names those that are', async () => {
    const error = await failure(plan('FROM scratch AS builder', { target: 'bilder' }));
    expect([error.code, error.hint]).toEqual(['DOCKERFILE_TARGET_UNKNOWN', 'did you mean builder? stages: builder']);
  });
});
