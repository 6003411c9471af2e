/** What the platform takes over of an ECS task. */
import { expect, test } from '@jest/globals';
import { projectTask } from '../../lib/platform/task-view.js';

const TASK = { taskArn: 'arn:aws:ecs:eu-central-1:123456789012:task/main/abc', lastStatus: 'RUNNING', containers: [] };

test('a task that is only played says so, another does not', () => {
  const attributes = [
    { name: 'ecs.cpu-architecture', value: 'x86_64' },
    { name: 'wharf.runtime', value: 'simulated' },
  ];
  expect(projectTask({ ...TASK, attributes }, 'main')).toMatchObject({ id: 'abc', runtime: 'simulated' });
  for (const none of [undefined, [], attributes.slice(0, 1)]) {
    expect(projectTask({ ...TASK, attributes: none }, 'main')).not.toHaveProperty('runtime');
  }
});
