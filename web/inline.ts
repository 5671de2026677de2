/** Puts program and style into the page, builds what computes models, notes the sources. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { build, type Plugin, type Rollup } from 'vite';

/** What the built page depends on, relative to web/; folders count with all their files. */
const SOURCES = [
  'index.html',
  'inline.ts',
  'package-lock.json',
  'package.json',
  'src',
  'svelte.config.js',
  'tsconfig.json',
  'vite.config.ts',
];

function files(root: string, entry: string): string[] {
  const path = join(root, entry);
  let names: string[];
  try {
    names = readdirSync(path);
  } catch {
    return [path];
  }
  return names.flatMap((name) => files(path, name));
}

/** SHA-256 over "<path>\0<length>\0<bytes>" of every source, in the order of their paths. */
export function sourceHash(root: string): string {
  const hash = createHash('sha256');
  const paths = SOURCES.flatMap((entry) => files(root, entry))
    .map((path) => relative(root, path).split(sep).join('/'))
    .sort();
  for (const path of paths) {
    const bytes = readFileSync(join(root, path));
    hash.update(`${path}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex');
}

/** Script text that can neither close its element nor open a comment in it. */
function inScript(code: string): string {
  return code.replaceAll('</script', '<\\/script').replaceAll('<!--', '\\x3C!--');
}

const WASM = 'node_modules/@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm';

/**
 * The program that computes models, as one script for a worker. Of TensorFlow.js it holds
 * the kernels that it registers; gradients, chained operations and threads stay out.
 */
async function engine(root: string): Promise<string> {
  const found = await build({
    root,
    configFile: false,
    logLevel: 'warn',
    define: { 'process.env.NODE_ENV': '"production"' },
    resolve: {
      alias: [
        { find: /^@tensorflow\/tfjs-core$/, replacement: '@tensorflow/tfjs-core/dist/base' },
        { find: /^.*wasm-threaded-simd(\.worker)?\.js$/, replacement: join(root, 'src/engine/no_threads.ts') },
      ],
    },
    build: {
      write: false,
      target: 'es2022',
      reportCompressedSize: false,
      lib: { entry: join(root, 'src/engine/worker.ts'), formats: ['iife'], name: 'engine' },
    },
  });
  const [output] = (found as Rollup.RollupOutput[])[0]!.output;
  return output.code;
}

export function inline(root: string): Plugin {
  return {
    name: 'inline',
    apply: 'build',
    enforce: 'post',
    async generateBundle(_, bundle) {
      const page = bundle['index.html'];
      if (page?.type !== 'asset') throw new Error('the build made no index.html');
      let html = String(page.source);
      for (const [name, item] of Object.entries(bundle)) {
        if (item === page) continue;
        const text = item.type === 'chunk' ? item.code : String(item.source);
        const script = item.type === 'chunk';
        const tag = script
          ? new RegExp(`\\s*<script[^>]*src="[^"]*${name}"[^>]*></script>`)
          : new RegExp(`\\s*<link[^>]*href="[^"]*${name}"[^>]*>`);
        if (!tag.test(html)) throw new Error(`index.html does not refer to ${name}`);
        const element = script
          ? `\n    <script type="module">${inScript(text.trim())}</script>`
          : `\n    <style>${text.trim()}</style>`;
        html = html.replace(tag, () => element);
        delete bundle[name];
      }
      page.source = html;
      const program = await engine(root);
      this.emitFile({ type: 'asset', fileName: 'engine.js', source: program });
      this.emitFile({ type: 'asset', fileName: 'engine.wasm', source: readFileSync(join(root, WASM)) });
      const info = {
        sources_sha256: sourceHash(root),
        page_sha256: createHash('sha256').update(html).digest('hex'),
        engine_sha256: createHash('sha256').update(program).digest('hex'),
      };
      this.emitFile({
        type: 'asset',
        fileName: 'BUILD_INFO.json',
        source: `${JSON.stringify(info, null, 2)}\n`,
      });
    },
  };
}
