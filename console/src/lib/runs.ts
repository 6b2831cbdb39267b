// Starting runs.

import { get, idempotencyKey, request } from "./api";
import type { Configuration, InputDocument, Page, Run } from "./types";

export interface RunOptions { mode: "execute" | "validate_only" | "dry_run"; forceRebuild: boolean }

export async function configurationsOf(workspace: string): Promise<Configuration[]> {
  return (await get<Page<Configuration>>(`workspaces/${workspace}/configurations?perPage=200`)).items;
}

export async function startRun(
  workspace: string, configuration: string, file: File, options?: Partial<RunOptions>,
): Promise<Run> {
  const form = new FormData();
  form.set("file", file);
  const uploaded = await request(`workspaces/${workspace}/documents`, { form });
  const document = (await uploaded.json()) as InputDocument;
  const body = {
    options: {
      input_document_id: document.id,
      validate_only: options?.mode === "validate_only" || undefined,
      dry_run: options?.mode === "dry_run" || undefined,
      force_rebuild: options?.forceRebuild || undefined,
    },
  };
  const started = await request(`workspaces/${workspace}/configurations/${configuration}/runs`, {
    body, headers: { "Idempotency-Key": idempotencyKey() },
  });
  return (await started.json()) as Run;
}
