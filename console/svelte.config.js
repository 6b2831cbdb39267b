import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

// What can be scrolled takes the focus, or nobody could scroll it by keyboard.
const wanted = ["a11y_no_noninteractive_tabindex"];

export default {
  preprocess: vitePreprocess(),
  compilerOptions: { warningFilter: (warning) => !wanted.includes(warning.code) },
};
