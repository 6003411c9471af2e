/** Rights at the registry: robots, and what is public. */
import * as z from 'zod';
import { isRepositoryPattern, REPOSITORY_ACTIONS } from '../../auth/index.js';
import { digest, timeMs } from './common.js';

export const repositoryPattern = z
  .string()
  .refine(isRepositoryPattern, {
    error: 'is not a repository, everything below a name (team/*), or * for everything',
  })
  .meta({ description: 'A repository, `<name>/*` for everything below a name, or `*`.' });

const Grant = z
  .strictObject({
    repositories: repositoryPattern,
    actions: z.array(z.enum(REPOSITORY_ACTIONS)).min(1),
  })
  .meta({ id: 'Grant' });

export const robotName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/, {
  error: 'is not a lower-case letter or digit, then up to 62 of those and . _ -',
});

const robotSettings = {
  description: z.string().max(200).exactOptional(),
  grants: z.array(Grant).min(1).max(100),
  expiresInSeconds: z.number().int().min(1).exactOptional().meta({ description: 'From now; no end when absent.' }),
};

export const RobotRequest = z.strictObject({ name: robotName, ...robotSettings }).meta({ id: 'RobotRequest' });
export const RobotChange = z.strictObject(robotSettings).meta({ id: 'RobotChange' });

const robotMembers = {
  name: z.string(),
  description: z.string().exactOptional(),
  grants: z.array(Grant),
  createdMs: timeMs,
  expiresAtMs: timeMs.exactOptional(),
  secrets: z
    .array(z.object({ id: z.string(), createdMs: timeMs }))
    .meta({ description: 'Those that work; at most two.' }),
};
export const Robot = z.object(robotMembers).meta({ id: 'Robot' });
export const RobotWithSecret = z
  .object({ ...robotMembers, secretId: z.string(), secret: z.string().meta({ description: 'Shown this once.' }) })
  .meta({ id: 'RobotWithSecret' });

const secretText = z.string().min(1).max(16_384);

export const RegistryLoginRequest = z
  .union(
    [
      z.strictObject({ username: z.string().min(1).max(255), password: secretText }),
      z.strictObject({ identityToken: secretText.meta({ description: 'As docker login keeps it.' }) }),
      z.strictObject({
        ecr: z
          .literal(true)
          .meta({ description: 'Amazon ECR: ask AWS for a token, with the platform’s own identity.' }),
      }),
    ],
    { error: 'is not {username, password}, {identityToken} or {ecr: true}' },
  )
  .meta({ id: 'RegistryLoginRequest' });

export const RegistryLoginInfo = z
  .object({
    registry: z.string(),
    kind: z.enum(['password', 'identity-token', 'ecr']),
    username: z.string().exactOptional(),
  })
  .meta({ id: 'RegistryLoginInfo' });

const upstreamSettings = {
  registry: z.string().min(1).max(255).meta({ description: 'Host and port, as in a reference.' }),
  insecure: z.boolean().exactOptional().meta({ description: 'Plain http; to loopback and private names only.' }),
};
const tagTtlSeconds = z.number().int().min(0).max(2_592_000);
const maxBytes = z.number().int().min(1).exactOptional().meta({
  description: 'What the cache holds beyond so many bytes is evicted, the longest unused first; no bound when absent.',
});
const keepSeconds = z.number().int().min(0).max(315_360_000);

export const UpstreamRequest = z
  .strictObject({
    ...upstreamSettings,
    tagTtlSeconds: tagTtlSeconds
      .exactOptional()
      .meta({ description: 'For so long a tag is taken to be where it was last seen; 300 when absent.' }),
    keepSeconds: keepSeconds.exactOptional().meta({
      description:
        'What nobody asks for in so long is evicted; 0: only what no tag points at; 2,592,000 (30 days) when absent.',
    }),
    maxBytes,
  })
  .meta({ id: 'UpstreamRequest' });
export const Upstream = z
  .object({ prefix: z.string(), ...upstreamSettings, tagTtlSeconds, keepSeconds, maxBytes })
  .meta({ id: 'Upstream' });

export const RefreshRequest = z
  .strictObject({ image: z.string().meta({ description: 'repository[:tag] of a cache.' }) })
  .meta({ id: 'RefreshRequest' });
export const RefreshedTag = z
  .object({ repository: z.string(), tag: z.string(), digest, changed: z.boolean() })
  .meta({ id: 'RefreshedTag' });
