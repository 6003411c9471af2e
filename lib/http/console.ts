/**
 * The console: one server-rendered page that shows what is there, for people with a browser. It only reads. Who looks
 * says so with an API token, which a form puts into a cookie that scripts and other sites cannot use.
 */
import { Hono } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { html } from 'hono/html';
import { authorize } from '../auth/index.js';
import type { Build } from '../build/index.js';
import { AppError, toAppError } from '../errors/index.js';
import type { Cluster, Service, Task } from '../platform/index.js';
import type { ApiDeps } from './api-deps.js';
import type { FetchApp } from './server.js';
import { seconds } from './text/index.js';

type Html = ReturnType<typeof html>;

const COOKIE = 'wharf_console';
const SHOWN = 50;
/** No script, nothing from elsewhere. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

export type ConsoleDeps = Pick<ApiDeps, 'platform' | 'builds' | 'images' | 'identities' | 'clock' | 'logger'>;

export function createConsole(deps: ConsoleDeps): FetchApp {
  const app = new Hono();
  app.use(async (c, next) => {
    await next();
    c.res.headers.set('content-security-policy', POLICY);
    c.res.headers.set('cache-control', 'no-store');
    c.res.headers.set('referrer-policy', 'no-referrer');
    c.res.headers.set('x-content-type-options', 'nosniff');
  });
  app.get('/', async (c) => {
    if (!(await mayRead(deps, getCookie(c, COOKIE)))) return c.html(frame('Sign in', signInForm()));
    return c.html(frame('Overview', await overview(deps)));
  });
  app.get('/console', (c) => c.redirect('/', 302));
  app.post('/console/session', async (c) => {
    const { token } = await c.req.parseBody();
    if (typeof token !== 'string' || !(await mayRead(deps, token.trim()))) {
      return c.html(frame('Sign in', signInForm('This token is not valid.')), 401);
    }
    setCookie(c, COOKIE, token.trim(), { httpOnly: true, sameSite: 'Strict', path: '/', maxAge: 12 * 3600 });
    return c.redirect('/', 303);
  });
  app.post('/console/sign-out', (c) => {
    deleteCookie(c, COOKIE, { path: '/' });
    return c.redirect('/', 303);
  });
  app.onError((error, c) => {
    const known = toAppError(error);
    if (known.kind === 'internal') deps.logger.error('the console failed', { error });
    const sentence = known.kind === 'internal' ? 'Something here went wrong; the log has it.' : known.message;
    return c.html(frame('Error', html`<p role="alert">${sentence}</p>`), known.kind === 'unavailable' ? 503 : 500);
  });
  return { fetch: (request) => app.fetch(request) };
}

async function mayRead(deps: ConsoleDeps, token: string | undefined): Promise<boolean> {
  const principal = token === undefined ? undefined : await deps.identities.verify(token);
  return authorize(principal, 'read', { kind: 'api' });
}

async function overview(deps: ConsoleDeps): Promise<Html> {
  const clusters = (await deps.platform.clusters.list({ limit: SHOWN })).items;
  const services = (
    await Promise.all(clusters.map((cluster) => listed(() => deps.platform.services.list(cluster.name))))
  ).flat();
  const tasks = (
    await Promise.all(clusters.map((cluster) => listed(() => deps.platform.tasks.list(cluster.name))))
  ).flat();
  const builds = (await deps.builds.list({ limit: 20 })).builds;
  const names = await deps.images.repositories({ limit: SHOWN });
  const images = await Promise.all(names.map(async (name) => ({ name, tags: (await deps.images.tags(name)) ?? [] })));
  const now = deps.clock.nowMs();
  return html`${clusterTable(clusters)} ${serviceTable(services)} ${taskTable(tasks, now)} ${buildTable(builds, now)}
    ${table(
      'Images',
      ['Repository', 'Tags'],
      images.map(({ name, tags }) => [name, tags.map(({ tag }) => tag).join(', ')]),
      'wharf build -t hello .',
    )}
    <form method="post" action="/console/sign-out"><button>Sign out</button></form>`;
}

/** A cluster that goes away meanwhile simply has nothing. */
async function listed<T>(read: () => Promise<{ readonly items: readonly T[] }>): Promise<readonly T[]> {
  try {
    return (await read()).items;
  } catch (error) {
    if (error instanceof AppError && error.kind === 'not-found') return [];
    throw error;
  }
}

function clusterTable(clusters: readonly Cluster[]): Html {
  return table(
    'Clusters',
    ['Name', 'Status', 'Instances', 'Services', 'Tasks'],
    clusters.map((cluster) => [
      cluster.name,
      cluster.status,
      `${cluster.instances.registered} of ${cluster.instances.wanted}`,
      String(cluster.services),
      `${cluster.tasks.running} running, ${cluster.tasks.pending} pending`,
    ]),
    'wharf cluster create main --instances 2',
  );
}

function serviceTable(services: readonly Service[]): Html {
  return table(
    'Services',
    ['Cluster', 'Name', 'Release', 'Image', 'Tasks', 'Deployment', 'Address'],
    services.map((service) => [
      service.cluster,
      service.name,
      `${service.currentRelease ?? '–'}${service.currentRelease === service.release ? '' : ` → ${service.release}`}`,
      service.image,
      `${service.count.running} of ${service.count.desired}`,
      [service.deployment?.status, service.deployment?.reason].filter((part) => part !== undefined).join(': '),
      service.url === undefined ? '' : html`<a href="${service.url}">${service.url}</a>`,
    ]),
    'wharf deploy web --cluster main --image hello --count 2',
  );
}

function taskTable(tasks: readonly Task[], now: number): Html {
  return table(
    'Tasks',
    ['Task', 'Service', 'Release', 'Status', 'Health', 'Instance', 'Ports', 'Age'],
    tasks.map((task) => [
      task.id.slice(0, 12),
      task.service ?? '–',
      task.release === undefined ? '–' : String(task.release),
      task.runtime === undefined ? task.status : `${task.status} (${task.runtime})`,
      task.health,
      (task.instance ?? '').slice(0, 12),
      task.containers.flatMap(({ ports }) => ports.map((port) => `${port.host}→${port.container}`)).join(', '),
      age(task.createdMs, now),
    ]),
    'wharf ps',
  );
}

function buildTable(builds: readonly Build[], now: number): Html {
  return table(
    'Builds',
    ['Build', 'Status', 'Tags', 'Steps cached', 'Time', 'Age'],
    builds.map((build) => [
      build.id,
      build.error === undefined ? build.status : `${build.status}: ${build.error.message}`,
      build.request.tags.join(', '),
      build.result === undefined ? '' : `${build.result.stepsCached} of ${build.result.steps.length}`,
      build.startedMs === undefined ? '' : seconds((build.finishedMs ?? now) - build.startedMs),
      age(build.createdMs, now),
    ]),
    'wharf build -t hello .',
  );
}

function table(
  title: string,
  columns: readonly string[],
  rows: readonly (readonly (string | Html)[])[],
  command: string,
): Html {
  const id = title.toLowerCase();
  if (rows.length === 0) {
    return html`<section aria-labelledby="${id}">
      <h2 id="${id}">${title}</h2>
      <p>None yet. Try: <code>${command}</code></p>
    </section>`;
  }
  return html`<section aria-labelledby="${id}">
    <h2 id="${id}">${title}</h2>
    <div class="wide">
      <table>
        <thead>
          <tr>
            ${columns.map((column) => html`<th scope="col">${column}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            (row) =>
              html`<tr>
                ${row.map((cell) => html`<td>${cell}</td>`)}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

function signInForm(complaint?: string): Html {
  return html`<form method="post" action="/console/session">
    ${complaint === undefined ? '' : html`<p role="alert">${complaint}</p>`}
    <label for="token">API token (wharf up printed it)</label>
    <input id="token" name="token" type="password" autocomplete="off" required />
    <button>Show</button>
  </form>`;
}

function frame(title: string, body: Html): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width" />
        <title>${title} · Wharf</title>
        <style>
          ${STYLE}
        </style>
      </head>
      <body>
        <header><h1>Wharf</h1></header>
        <main>${body}</main>
      </body>
    </html>`;
}

const STYLE = `:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{margin:0 auto;max-width:75rem;padding:1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin:1.5rem 0 .5rem}.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #8886;vertical-align:top}code{padding:.1rem .3rem;border:1px solid #8886}
label,input,button{display:block;margin:.4rem 0;font:inherit}input{width:min(30rem,100%)}`;

function age(sinceMs: number | undefined, nowMs: number): string {
  if (sinceMs === undefined) return '';
  const minutes = Math.floor((nowMs - sinceMs) / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${minutes} min`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} d`;
}
