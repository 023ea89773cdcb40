// Joins the modules of some installed packages into one file each. Without it OpenClaw's process, its worker threads and
// its helper processes together load 11,800 modules at each start, half of them from these packages, and each module
// costs Node about a third of a millisecond.
//
// The entry points of a package keep their paths and exports, and take them from the joined file, so that each module
// still exists once in a process. Imports of other packages are left alone.
//
// Usage, from the directory above `node_modules`: node flatten.mjs ESBUILD PACKAGE...

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join, relative, resolve } from "node:path";

/** The conditions under which Node resolves an `import`. */
const CONDITIONS = new Set(["node", "import", "default"]);
const MODULES = resolve("node_modules");
const OPTIONS = [
  "--bundle",
  "--format=esm",
  "--platform=node",
  "--packages=external",
  // The names of classes and functions stay, and so does what a module does when it is loaded.
  "--keep-names",
  "--ignore-annotations",
  "--log-level=warning",
];

const [esbuild, ...packages] = process.argv.slice(2);
const specifiers = importedSpecifiers(packages);
for (const name of packages) flatten(name);

function flatten(name) {
  const candidates = entryPoints(name);
  const root = commonDirectory(candidates);
  const names = exportedNames(candidates, root);
  const entries = candidates.filter((entry) => names.has(entry));
  const joined = join(root, `flat${extname(entries[0])}`);
  // Exports everything; the names of entry point 3 begin with e3_.
  const source = entries.map((entry, index) => {
    return reexport(names.get(entry), (own) => `${own} as e${index}_${own}`, entry, root);
  });
  const { inputs } = bundle(root, [`--outfile=${joined}`], source.join(""));
  const paths = Object.keys(inputs).filter((path) => path !== "<stdin>");
  for (const path of paths) refuseOwnPath(resolve(root, path), root);
  entries.forEach((entry, index) => {
    writeFileSync(entry, reexport(names.get(entry), (own) => `e${index}_${own} as ${own}`, joined, dirname(entry)));
  });
  console.log(`${name}: ${paths.length} modules in one, ${entries.length} entry points`);
}

/** The names that each entry point exports, by its path; without those that need a package that is not installed. */
function exportedNames(entries, root) {
  const directory = mkdtempSync(join(tmpdir(), "flatten-"));
  const { inputs, outputs } = bundle(root, [...entries, "--splitting", `--outdir=${directory}`, `--outbase=${root}`]);
  rmSync(directory, { recursive: true });
  return new Map(
    Object.values(outputs)
      .filter((output) => output.entryPoint && canLoad(output.entryPoint, inputs))
      .map((output) => [resolve(root, output.entryPoint), output.exports]),
  );
}

/** Runs esbuild in `root`, on `source` if there is one. Returns what it tells of its inputs and outputs. */
function bundle(root, options, source) {
  const directory = mkdtempSync(join(tmpdir(), "flatten-"));
  const metafile = join(directory, "meta.json");
  execFileSync(esbuild, [...OPTIONS, ...options, `--metafile=${metafile}`], {
    cwd: root,
    input: source,
    stdio: [source === undefined ? "ignore" : "pipe", "inherit", "inherit"],
  });
  const meta = JSON.parse(readFileSync(metafile, "utf8"));
  rmSync(directory, { recursive: true });
  return meta;
}

/** Whether all packages that `file` and the modules below it import are installed. */
function canLoad(file, inputs, seen = new Set()) {
  if (seen.has(file)) return true;
  seen.add(file);
  return inputs[file].imports
    // <runtime> is esbuild's own code.
    .filter(({ kind, path }) => kind === "import-statement" && path !== "<runtime>")
    .every(({ path, external }) => (external ? isInstalled(path) : canLoad(path, inputs, seen)));
}

function isInstalled(specifier) {
  const [, name] = /^((?:@[^/]+\/)?[^/]+)/.exec(specifier);
  return isBuiltin(specifier) || existsSync(join(MODULES, name));
}

function reexport(names, rename, file, from) {
  const path = join(relative(from, dirname(file)), basename(file));
  return `export { ${names.map(rename).join(", ")} } from ${JSON.stringify(path.startsWith(".") ? path : `./${path}`)};\n`;
}

/** A module that looks for files beside itself may only move within its directory. */
function refuseOwnPath(input, root) {
  if (dirname(input) === root || !/import\.meta\.(url|dirname|filename|resolve)/.test(readFileSync(input, "utf8"))) return;
  throw new Error(`${relative(MODULES, input)} uses its own path, so its package cannot be flattened`);
}

/** The ES modules of the package that an installed file seems to import, so none that only an absent package needs. */
function entryPoints(name) {
  const root = join(MODULES, name);
  const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const paths = Object.keys(exports).every((key) => key.startsWith(".")) ? exports : { ".": exports };
  const files = specifiers
    .filter((specifier) => specifier === name || specifier.startsWith(`${name}/`))
    .map((specifier) => fileOf(`.${specifier.slice(name.length)}`, paths))
    .filter(Boolean)
    .map((path) => join(root, path));
  return [...new Set(files)].filter((file) => existsSync(file) && isModule(file));
}

/** Resolves `path` by a package's `exports`, as Node does: an exact path first, then the longest pattern. */
function fileOf(path, exports) {
  if (Object.hasOwn(exports, path)) return target(exports[path]);
  const patterns = Object.keys(exports).filter((key) => key.includes("*")).sort((one, other) => other.length - one.length);
  for (const pattern of patterns) {
    const [before, after] = pattern.split("*");
    if (!path.startsWith(before) || !path.endsWith(after) || path.length <= before.length + after.length) continue;
    return target(exports[pattern])?.replaceAll("*", path.slice(before.length, path.length - after.length));
  }
  return undefined;
}

/** The file that Node takes for one entry of `exports`. */
function target(value) {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return target(value[0]);
  for (const [condition, next] of Object.entries(value ?? {})) {
    const found = CONDITIONS.has(condition) ? target(next) : undefined;
    if (found) return found;
  }
  return undefined;
}

function isModule(file) {
  if (!file.endsWith(".js")) return file.endsWith(".mjs");
  let directory = dirname(file);
  while (!existsSync(join(directory, "package.json"))) directory = dirname(directory);
  return JSON.parse(readFileSync(join(directory, "package.json"), "utf8")).type === "module";
}

/** Every string in the installed files that looks like an import from one of the packages. */
function importedSpecifiers(names) {
  const found = new Set();
  const pattern = new RegExp(`["'\`]((?:${names.join("|")})(?:/[\\w./-]*)?)["'\`]`, "g");
  for (const entry of readdirSync(MODULES, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !/\.[cm]?js$/.test(entry.name)) continue;
    const text = readFileSync(join(entry.parentPath, entry.name), "utf8");
    for (const match of text.matchAll(pattern)) found.add(match[1]);
  }
  return [...found];
}

function commonDirectory(files) {
  let directory = dirname(files[0]);
  while (!files.every((file) => file.startsWith(`${directory}/`))) directory = dirname(directory);
  return directory;
}
