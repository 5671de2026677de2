import { describe, expect, test } from 'vitest';
import { defaultState, formatAddress, parseAddress, type ViewState } from '../src/app/address';
import type { ManifestMeta } from '../src/bundle/types';

const layer = (id: string) =>
  ({ id, shape: [32, 48, 8], n_features: id === '1a' ? 3 : 8, kind: id === '1a' ? 'gradient' : 'attribution' }) as ManifestMeta['models'][0]['layers'][0];
const meta = {
  trajectories: [{ length: 100 }, { length: 7 }],
  action_names: ['a', 'b', 'c'],
  models: [
    { id: 'model', name: '', layers: [layer('1a'), layer('2b')], network_part: 'model/network' },
    { id: 'edited', name: '', layers: [layer('1a'), layer('2b')] },
  ],
  default_layer: '2b',
  what_if: 'what_if',
} as unknown as ManifestMeta;

test('what is usual is short', () => {
  expect(formatAddress(defaultState(meta), meta)).toBe('#trajectory=1&frame=1&layer=2b');
});

test.each<Partial<ViewState>>([
  {},
  { trajectory: 1, frame: 6, layer: '1a' },
  { overlay: false, combine: true, residual: false, change: true },
  { strongest: 45, point: { row: 31, column: 47 }, logits: [0, 2], opened: 7 },
  { find: { what: 'negative', feature: 8, action: null, outcome: 'any' } },
  { find: { what: 'falls', feature: 0, action: 2, outcome: 'failed' } },
  { stack: 2, palette: 'hues' },
  { whatIf: { factors: [1, 0, 1, 0.35, 1, 1, 1, 2], edits: 'a-_9' } },
  { layer: '1a', whatIf: { factors: [], edits: '' } },
  { films: { number: 1, step: 14 } },
  { films: { number: 0, step: 0 } },
  { stack: 'difference' },
  { radius: 0, brightness: -2.5, isolated: 8 },
  { layer: '1a', radius: 12, brightness: 3, isolated: 2 },
  {
    rows: [
      { model: 'model', layer: null, output: 'value' },
      { model: 'edited', layer: '1a', output: [0, 2] },
      { model: 'model', layer: null, output: [1] },
    ],
  },
])('reads back %j', (changes) => {
  const state = { ...defaultState(meta), ...changes };
  expect(parseAddress(formatAddress(state, meta), meta)).toEqual({
    state,
    names: null,
    notices: [],
  });
});

test('names can travel in it', () => {
  const names = { '2b': { 0: 'a & b=c' } };
  const hash = `#frame=2&names=${encodeURIComponent(JSON.stringify(names))}`;
  expect(parseAddress(hash, meta)).toMatchObject({ names, notices: [] });
});

describe('what makes no sense falls back with a notice', () => {
  test.each([
    ['#trajectory=3', 'trajectory “3”'],
    ['#whatif=2', 'whatif “2”'],
    ['#edits=AAAA', 'edits “AAAA”'],
    ['#whatif=1&factors=9:50', 'factors “9:50”'],
    ['#whatif=1&factors=0:50', 'factors “0:50”'],
    ['#whatif=1&factors=1:201', 'factors “1:201”'],
    ['#whatif=1&factors=1', 'factors “1”'],
    ['#films=0', 'films “0”'],
    ['#films=1&step=x', 'step “x”'],
    ['#trajectory=0', 'trajectory “0”'],
    ['#trajectory=x', 'trajectory “x”'],
    ['#trajectory=1.5', 'trajectory “1.5”'],
    ['#frame=101', 'frame “101”'],
    ['#frame=-1', 'frame “-1”'],
    ['#layer=9z', 'layer “9z”'],
    ['#layer=%E0%A4%A', 'layer “%E0%A4%A”'],
    ['#rows=4', 'rows “4”'],
    ['#rows=1+1', 'rows “1+1”'],
    ['#rows=other:value', 'rows “other:value”'],
    ['#rows=', 'rows “”'],
    ['#overlay=yes', 'overlay “yes”'],
    ['#smoothing=13', 'smoothing “13”'],
    ['#smoothing=2.5', 'smoothing “2.5”'],
    ['#brightness=-3.5', 'brightness “-3.5”'],
    ['#brightness=0.3', 'brightness “0.3”'],
    ['#brightness=1e0', 'brightness “1e0”'],
    ['#feature=10', 'feature “10”'],
    ['#feature=0', 'feature “0”'],
    ['#feature=', 'feature “”'],
    ['#point=33,1', 'point “33,1”'],
    ['#point=1', 'point “1”'],
    ['#point=1,2,3', 'point “1,2,3”'],
    ['#logits=4', 'logits “4”'],
    ['#open=9', 'open “9”'],
    ['#find=jumps', 'find “jumps”'],
    ['#find=positive:10', 'find “positive:10”'],
    ['#find=falls&outcome=won', 'outcome “won”'],
    ['#action=4', 'action “4”'],
    ['#stack=all', 'stack “all”'],
    ['#palette=grey', 'palette “grey”'],
    ['#strongest=7', 'strongest “7”'],
    ['#names={', 'names of features'],
    ['#color=red', 'unknown parameter “color”'],
    ['#nonsense', 'unknown parameter “nonsense”'],
  ])('%s', (hash, words) => {
    const { state, notices } = parseAddress(hash, meta);
    expect(state).toEqual(defaultState(meta));
    expect(notices).toHaveLength(1);
    expect(notices[0]).toContain(words);
  });

  test('also a feature that another layer has', () => {
    const { state, notices } = parseAddress('#layer=1a&feature=4', meta);
    expect(state).toMatchObject({ layer: '1a', isolated: null });
    expect(notices[0]).toContain('1 to 3');
  });

  test('and the rest holds', () => {
    const { state, notices } = parseAddress('#trajectory=2&frame=50&layer=1a', meta);
    expect(state).toMatchObject({ trajectory: 1, frame: 0, layer: '1a' });
    expect(notices).toHaveLength(1);
  });

  test('nothing asked for is no mistake', () => {
    expect(parseAddress('', meta)).toEqual({
      state: defaultState(meta),
      names: null,
      notices: [],
    });
    expect(parseAddress('#', meta).notices).toEqual([]);
  });
});
