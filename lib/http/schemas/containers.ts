/** What a container is made of, in a service's release or in a single task. */
import * as z from 'zod';

const envName = z.string().regex(/^[^=\0]+$/, { error: 'is empty or has "="' });
export const noNul = z.string().regex(/^[^\0]*$/, { error: 'has a NUL character' });

const port = z.number().int().min(1).max(65_535);

export const PortSpec = z
  .strictObject({
    container: port,
    host: port.exactOptional().meta({ description: 'A fixed port of the host; a free one when absent.' }),
    protocol: z.enum(['tcp', 'udp']).exactOptional(),
  })
  .meta({ id: 'PortSpec' });

export const containerSpec = {
  image: z.string().min(1).max(500).meta({ description: '`repository[:tag][@digest]` in this registry.' }),
  command: z.array(noNul).max(1000).exactOptional(),
  entrypoint: z.array(noNul).max(1000).exactOptional(),
  env: z.record(envName, noNul).exactOptional(),
  secrets: z
    .record(envName, z.string().regex(/^[\w.:/+=@-]+$/, { error: 'is neither the name nor the ARN of a secret' }))
    .exactOptional()
    .meta({ description: 'Variables whose values are secrets, by name or ARN; read when a container is made.' }),
  ports: z.array(PortSpec).max(100).exactOptional().meta({ description: "The image's EXPOSEd ports when absent." }),
  cpu: z.number().int().min(2).max(196_608).exactOptional().meta({ description: 'ECS CPU units; 1,024 are one core.' }),
  memory: z.number().int().min(6).max(4_000_000).exactOptional().meta({ description: 'MiB, a hard limit.' }),
  user: z.string().min(1).exactOptional(),
  workingDirectory: z.string().regex(/^\//, { error: 'is not an absolute path' }).exactOptional(),
  readonlyRootFilesystem: z.boolean().exactOptional(),
  stopTimeoutSeconds: z.number().int().min(1).max(3600).exactOptional(),
};
