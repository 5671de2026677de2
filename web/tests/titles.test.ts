import { expect, test } from 'vitest';
import { headings } from '../src/app/titles';
import type { ModelInfo } from '../src/bundle/types';

const game = { name: 'coinrun', distribution_mode: 'hard' };

test.each<[string, string[], Record<string, unknown>, string[]]>([
  ['coinrun_hard', ['coinrun_hard'], game, ['coinrun_hard']],
  ['My page', ['coinrun_hard'], game, ['My page', 'coinrun_hard']],
  ['a and b', ['a', 'b'], game, ['a and b', 'coinrun, hard levels']],
  ['a, edited', ['a', 'b'], {}, ['a, edited', 'b']],
  ['', ['model'], { name: 'starpilot' }, ['Interface', 'model', 'starpilot']],
  ['hardly', ['run'], { name: 'hard' }, ['hardly', 'run', 'hard']],
  ['—', ['m'], game, ['—', 'm', 'coinrun, hard levels']],
])('%s of %j in %j', (title, names, environment, expected) => {
  const models = names.map((name) => ({ name }) as ModelInfo);
  expect(headings({ title, models, environment })).toEqual(expected);
});
