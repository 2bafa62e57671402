import { Template } from "@huggingface/jinja";
import { PlanError } from "../core/errors.ts";
import { IMAGE_PLACEHOLDER, type Message } from "../core/sample.ts";
import type { TextTokenizer } from "./tokenizer.ts";

/** How a conversation becomes one text. */
export interface ChatTemplate {
  /** For the manifest: "folder", "llava_v1", or the family's own. */
  readonly name: string;
  /** The text of the turns; `prompt_answer` adds what stands before an assistant's first word. Throws what the template raises. */
  render(messages: readonly Message[], prompt_answer: boolean): string;
  /** Whether it writes the special tokens at the beginning itself; otherwise the tokenizer's are put there unless present. */
  readonly writes_beginning: boolean;
  /** False where `prompt_answer` has no effect, so that the answer's beginning has to be searched for. */
  readonly prompts_answer: boolean;
}

/**
 * The folder's Jinja template.
 * Templates want a turn's content either as text or as a list of parts ({type: "image"}, {type: "text", text}); which
 * one is read off the template's source. `placeholder` is what stands for an image in templates over plain text.
 */
export function folderTemplate(source: string, tokenizer: TextTokenizer, placeholder: string): ChatTemplate {
  // The library's own strftime_now can't be replaced by a variable of that name.
  const template = parse(source.replaceAll("strftime_now", "fixed_date"));
  const wantsParts = /\[\s*['"]type['"]\s*\]|\.type\b|['"]type['"]\s*,|get\(\s*['"]type['"]/.test(source);
  return {
    name: "folder",
    writes_beginning: false,
    prompts_answer: source.includes("add_generation_prompt"),
    render(messages, prompt_answer) {
      const turns = messages.map(({ role, content }) => ({
        role,
        content: wantsParts ? contentParts(content) : content.replaceAll(IMAGE_PLACEHOLDER, placeholder),
      }));
      return template.render({ ...tokenizer.named, fixed_date: fixedDate, messages: turns, add_generation_prompt: prompt_answer });
    },
  };
}

/** Templates of Llama 3.2 and others write today's date: a run that goes on tomorrow would score other prompts. Llama's own stand-in: 26 July 2024. */
const FIXED_DATE: Readonly<Record<string, string>> = {
  "%Y": "2024", "%y": "24", "%m": "07", "%B": "July", "%b": "Jul", "%d": "26", "%A": "Friday", "%a": "Fri", "%H": "00", "%M": "00", "%S": "00", "%%": "%",
};

function fixedDate(format: string): string {
  return format.replaceAll(/%./g, (directive) => FIXED_DATE[directive] ?? directive);
}

function parse(source: string): Template {
  try {
    return new Template(source);
  } catch (cause) {
    throw new PlanError("the model folder's chat template can't be parsed", {
      cause,
      remedy: "set model.template to llava_v1, or repair chat_template.jinja",
    });
  }
}

type Part = { readonly type: "image" } | { readonly type: "text"; readonly text: string };

/** The content cut at its image placeholders; one newline behind a placeholder belongs to it. */
export function contentParts(content: string): Part[] {
  const texts = content.split(IMAGE_PLACEHOLDER);
  if (texts.length === 1) return [{ type: "text", text: content }];
  return texts.flatMap((text, i) => {
    const parts: Part[] = i === 0 ? [] : [{ type: "image" }];
    const rest = i === 0 ? text : text.replace(/^\n/, "");
    if (rest !== "") parts.push({ type: "text", text: rest });
    return parts;
  });
}

const LLAVA_V1_SYSTEM =
  "A chat between a curious user and an artificial intelligence assistant. " +
  "The assistant gives helpful, detailed, and polite answers to the user's questions.";

/**
 * LLaVA v1 (Vicuna): one line, "USER: ... ASSISTANT: ...</s>", the image in front of its turn on a line of its own.
 * A system turn replaces the usual one.
 */
export function llavaV1Template(tokenizer: TextTokenizer, placeholder: string): ChatTemplate {
  const { bos, eos } = tokenizer.special;
  const end = eos || "</s>";
  return {
    name: "llava_v1",
    writes_beginning: true,
    prompts_answer: true,
    render(messages, prompt_answer) {
      const system = messages.find(({ role }) => role === "system")?.content ?? LLAVA_V1_SYSTEM;
      let text = `${bos}${system} `;
      for (const { role, content } of messages) {
        if (role === "user") text += `USER: ${imagesFirst(content, placeholder)} `;
        if (role === "assistant") text += `ASSISTANT: ${content}${end}`;
      }
      return prompt_answer ? `${text}ASSISTANT:` : text;
    },
  };
}

/** The turn's text with its images in front, each on its own line. */
function imagesFirst(content: string, placeholder: string): string {
  const texts = content.split(IMAGE_PLACEHOLDER);
  const images = `${placeholder}\n`.repeat(texts.length - 1);
  return (images + texts.join("").trim()).trim();
}
