/** The OpenAPI 3.1 document, written from the route table and its schemas; nothing in it is kept by hand. */
import * as z from 'zod';
import type { Answer, Route } from './route.js';
import { ProblemSchema } from './schemas/index.js';

type JsonObject = { [key: string]: unknown };

export function openApiDocument(routes: readonly Route[], version: string): JsonObject {
  const schemas: JsonObject = {};
  const paths: { [path: string]: JsonObject } = {};
  for (const route of routes) {
    const path = route.path.replaceAll('+}', '}');
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, schemas) };
  }
  const problem = schemaRef(ProblemSchema, schemas);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Wharf',
      version,
      description: 'Builds images, keeps them, and runs them on ECS. Errors are RFC 9457 problems with a stable code.',
    },
    paths,
    components: {
      schemas,
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      responses: {
        Problem: {
          description: 'What failed, and what would be accepted',
          content: { 'application/problem+json': { schema: problem } },
        },
      },
    },
    security: [{ token: [] }],
  };
}

function operation(route: Route, schemas: JsonObject): JsonObject {
  return {
    operationId: route.id,
    summary: route.summary,
    tags: [route.tag],
    'x-access': route.access,
    ...(route.access === 'open' ? { security: [] } : {}),
    parameters: [
      ...parameters(route.params, 'path', schemas),
      ...parameters(route.query, 'query', schemas),
      ...(route.isReplayable ? [IDEMPOTENCY_KEY] : []),
      ...(isStream(route) ? [LAST_EVENT_ID] : []),
    ],
    ...requestBody(route, schemas),
    responses: {
      ...Object.fromEntries(route.answers.map((answer) => [String(answer.status), response(answer, schemas)])),
      default: { $ref: '#/components/responses/Problem' },
    },
  };
}

const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  description: 'A repetition with the same key and parameters gets the first answer, for 24 hours.',
  schema: { type: 'string', maxLength: 255 },
};

const LAST_EVENT_ID = {
  name: 'Last-Event-ID',
  in: 'header',
  description: 'The stream goes on after this event.',
  schema: { type: 'string' },
};

function isStream(route: Route): boolean {
  return route.answers.some((answer) => answer.streams?.includes('text/event-stream'));
}

function parameters(object: z.ZodObject, where: 'path' | 'query', schemas: JsonObject): JsonObject[] {
  const { properties = {}, required = [] } = hoisted(object, schemas) as {
    properties?: { [name: string]: JsonObject };
    required?: string[];
  };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: where,
    required: required.includes(name),
    ...(where === 'query' && schema['type'] === 'array' ? { explode: true } : {}),
    schema,
  }));
}

function requestBody(route: Route, schemas: JsonObject): JsonObject {
  const content: JsonObject = Object.fromEntries(
    route.binaryBody.map((type) => [type, { schema: { type: 'string', contentMediaType: type } }]),
  );
  const json = route.body ?? route.jsonForm;
  if (json !== undefined) content['application/json'] = { schema: schemaRef(json, schemas) };
  return Object.keys(content).length === 0 ? {} : { requestBody: { required: true, content } };
}

function response(answer: Answer, schemas: JsonObject): JsonObject {
  const content: JsonObject = Object.fromEntries(
    (answer.streams ?? []).map((type) => [type, { schema: { type: 'string' } }]),
  );
  if (answer.schema !== undefined) content['application/json'] = { schema: schemaRef(answer.schema, schemas) };
  return { description: answer.description, ...(Object.keys(content).length === 0 ? {} : { content }) };
}

function schemaRef(schema: z.ZodType, schemas: JsonObject): JsonObject {
  return hoisted(schema, schemas);
}

/** The JSON schema with its named parts moved to the components. */
function hoisted(schema: z.ZodType, schemas: JsonObject): JsonObject {
  const { $schema: _, $defs, ...json } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonObject;
  for (const [name, part] of Object.entries(($defs ?? {}) as JsonObject)) schemas[name] = repoint(part);
  return repoint(json) as JsonObject;
}

function repoint(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(repoint);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) =>
      key === '$ref' && typeof member === 'string'
        ? [key, member.replace('#/$defs/', '#/components/schemas/')]
        : [key, repoint(member)],
    ),
  );
}
