import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { inline } from './inline';

export default defineConfig({
  plugins: [svelte(), inline(import.meta.dirname)],
  build: {
    outDir: '../lucid_rl/interface/static',
    emptyOutDir: false,
    target: 'es2022',
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rollupOptions: { output: { entryFileNames: 'page.js', assetFileNames: 'page[extname]' } },
  },
  test: { include: ['tests/**/*.test.ts'], environment: 'node' },
});
