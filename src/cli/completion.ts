import { Argument, Command } from "commander";
import { EXIT_CODE } from "../core/errors.ts";
import { type Verb, withCommonOptions, withExamples } from "./verb.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

interface Words {
  readonly verb: string;
  readonly summary: string;
  readonly options: readonly { readonly flag: string; readonly description: string; readonly choices: readonly string[] }[];
}

export const completionVerb: Verb = {
  declare(program) {
    const command = program
      .command("completion")
      .addArgument(new Argument("<shell>", "whose completion").choices(SHELLS))
      .summary("print a completion script for a shell")
      .description("Prints a script that completes commands, options and file names.");
    return withExamples(withCommonOptions(command), [
      "pipeline completion bash >> ~/.bashrc",
      "pipeline completion zsh >> ~/.zshrc",
      "pipeline completion fish > ~/.config/fish/completions/pipeline.fish",
    ]);
  },
  async run(shell, _options, [name]) {
    const words = await allWords();
    shell.stdout.write(name === "fish" ? fishScript(words) : bashScript(words, name === "zsh"));
    return EXIT_CODE.done;
  },
};

/** What every verb declares. Imported late: the list of verbs has this one in it. */
async function allWords(): Promise<Words[]> {
  const { VERBS } = await import("./verbs.ts");
  const program = new Command();
  return VERBS.map((verb) => {
    const command = verb.declare(program);
    const options = command.options.map((option) => ({ flag: option.long ?? option.short!, description: option.description, choices: option.argChoices ?? [] }));
    return { verb: command.name(), summary: command.summary(), options: [...options, { flag: "--help", description: "print help", choices: [] }] };
  });
}

function bashScript(words: readonly Words[], isZsh: boolean): string {
  const cases = words.map(({ verb, options }) => `    ${verb}) words="${options.map(({ flag }) => flag).join(" ")}" ;;`);
  const choices = new Map(words.flatMap(({ options }) => options).filter((option) => option.choices.length > 0).map(({ flag, choices: values }) => [flag, values]));
  const values = [...choices].map(([flag, list]) => `    ${flag}) COMPREPLY=($(compgen -W "${list.join(" ")}" -- "$current")); return ;;`);
  return `# pipeline completion
${isZsh ? "autoload -U +X bashcompinit && bashcompinit\n" : ""}_pipeline() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words=""
  COMPREPLY=()
  case "$previous" in
${values.join("\n")}
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${words.map(({ verb }) => verb).join(" ")} help --help --version" -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
  case "$current" in
    -*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
  esac
}
complete -o default -F _pipeline pipeline
`;
}

function fishScript(words: readonly Words[]): string {
  const quote = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const lines = words.flatMap(({ verb, summary, options }) => [
    `complete -c pipeline -n __fish_use_subcommand -f -a ${verb} -d ${quote(summary)}`,
    ...options.map(({ flag, description, choices }) => {
      const values = choices.length > 0 ? ` -x -a ${quote(choices.join(" "))}` : "";
      return `complete -c pipeline -n ${quote(`__fish_seen_subcommand_from ${verb}`)} -l ${flag.replace(/^--/, "")} -d ${quote(description)}${values}`;
    }),
  ]);
  return `# pipeline completion\n${lines.join("\n")}\n`;
}
