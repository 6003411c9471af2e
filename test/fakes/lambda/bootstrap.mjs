/**
 * The runtime client inside a function's process, as Lambda's own for Node: loads the handler, takes one invocation
 * after the other from the Runtime API, and posts what came of it. Nothing of a test's code is in this process.
 */
import { Agent, request } from 'node:http';
import { join } from 'node:path';

const { AWS_LAMBDA_RUNTIME_API: api = '', LAMBDA_TASK_ROOT: root = '', _HANDLER: name = '' } = process.env;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function call(method, path, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const [host, port] = api.split(':');
    const sent = request({ agent, host, port, method, path: `/2018-06-01/runtime/${path}`, headers }, (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('end', () =>
        resolve({ status: answer.statusCode, headers: answer.headers, body: Buffer.concat(chunks) }),
      );
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const described = (error) => ({
  errorType: error?.name ?? 'Error',
  errorMessage: error?.message ?? String(error),
  trace: String(error?.stack ?? '').split('\n'),
});

/** An error that nothing caught ends the process, after it was told. */
function fatal(path) {
  return async (error) => {
    console.error(error);
    await call('POST', path, JSON.stringify(described(error)), { 'lambda-runtime-function-error-type': 'Unhandled' });
    process.exit(1);
  };
}

async function load() {
  const [file, member] = name.split('.');
  const module = await import(join(root, `${file}.mjs`));
  if (typeof module[member] === 'function') return module[member];
  throw Object.assign(new Error(`${name} is undefined or not exported`), { name: 'Runtime.HandlerNotFound' });
}

function contextOf(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  return {
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    callbackWaitsForEmptyEventLoop: true,
    // Not by `Date`: tests give a function another time of day, and no other time to work.
    getRemainingTimeInMillis: () => Math.max(0, Math.floor(deadline - performance.timeOrigin - performance.now())),
  };
}

const handler = await load().catch(fatal('init/error'));
let current = '';
process.on('uncaughtException', (error) => void fatal(`invocation/${current}/error`)(error));
process.on('unhandledRejection', (error) => void fatal(`invocation/${current}/error`)(error));
for (;;) {
  const { headers, body } = await call('GET', 'invocation/next');
  current = headers['lambda-runtime-aws-request-id'];
  let kind = 'response';
  let text = 'null';
  let type = '';
  try {
    const result = await handler(JSON.parse(body.toString()), contextOf(headers));
    text = JSON.stringify(result ?? null);
  } catch (error) {
    console.error(error);
    kind = 'error';
    text = JSON.stringify(described(error));
    type = error?.name ?? 'Error';
  }
  await call('POST', `invocation/${current}/${kind}`, text, {
    'content-type': 'application/json',
    'lambda-runtime-function-error-type': type,
  });
}
