import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { resolveUser, resolveUserIn } from '../../lib/runtime/index.js';

const PASSWD = 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n12:x:55:55::/:/bin/sh\n';
const GROUP = 'root:x:0:\nstaff:x:50:app,other\naudio:x:29:app\nlonely:x:60:\n';

describe('a user of an image', () => {
  test.each([
    ['', { uid: 0, gid: 0, home: '/root', name: 'root', additionalGids: [] }],
    ['root', { uid: 0, gid: 0, home: '/root', name: 'root', additionalGids: [] }],
    ['app', { uid: 1000, gid: 1001, home: '/home/app', name: 'app', additionalGids: [50, 29] }],
    ['1000', { uid: 1000, gid: 1001, home: '/home/app', name: 'app', additionalGids: [50, 29] }],
    ['app:lonely', { uid: 1000, gid: 60, home: '/home/app', name: 'app', additionalGids: [] }],
    ['app:77', { uid: 1000, gid: 77, home: '/home/app', name: 'app', additionalGids: [] }],
    ['4321', { uid: 4321, gid: 0, home: '/', additionalGids: [] }],
    ['4321:8765', { uid: 4321, gid: 8765, home: '/', additionalGids: [] }],
    // What is written in digits is a number, even when a user has that name.
    ['12', { uid: 12, gid: 0, home: '/', additionalGids: [] }],
  ])('%j is resolved as runc does', (user, expected) => {
    expect(resolveUser(user, PASSWD, GROUP)).toEqual(expected);
  });

  test('is root without any passwd file when none is named', () => {
    expect(resolveUser('', '', '')).toEqual({ uid: 0, gid: 0, home: '/', additionalGids: [] });
  });

  test.each([
    ['nobody', 'USER_UNKNOWN', 'nobody'],
    ['app:wheel', 'GROUP_UNKNOWN', 'wheel'],
    ['99999999999', 'USER_INVALID', '99999999999'],
  ])('%j is refused by name', (user, code, named) => {
    expect(() => resolveUser(user, PASSWD, GROUP)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(named) }),
    );
  });

  test('is read through links inside the root, never from the host', async () => {
    const root = await mkdtemp(join(tmpdir(), 'wharf-user-'));
    try {
      await mkdir(join(root, 'etc'));
      await mkdir(join(root, 'usr'));
      await writeFile(join(root, 'usr', 'passwd'), 'inside:x:7:7::/in:/bin/sh\n');
      await symlink('/../../usr/passwd', join(root, 'etc', 'passwd'));
      await symlink('/etc/group', join(root, 'etc', 'group'));
      await expect(resolveUserIn(root, 'inside')).resolves.toMatchObject({ uid: 7, home: '/in' });
      await expect(resolveUserIn(root, 'inside:root')).rejects.toMatchObject({ code: 'GROUP_UNKNOWN' });
    } finally {
      await rm(root, { recursive: true });
    }
  });
});
