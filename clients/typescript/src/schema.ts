// Written by scripts/generate.mjs from docs/openapi.json; changes belong there.

export type paths = Record<string, never>;
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /** @description `acceptance_given`. */
        AcceptanceGiven: {
            accepted: boolean;
            comment?: string | null;
            decided_by?: components["schemas"]["Caller"] | null;
            document_id: components["schemas"]["DocumentId"];
            /** Format: int64 */
            version: number;
        };
        /** @description `acceptance_needed`; the version is stored already. */
        AcceptanceNeeded: components["schemas"]["DocumentRef"] & {
            accepted_by: string[];
            content_digest: string;
        };
        /** @description The observable state of the actors of one piece of work: its session's, and its stream's. */
        ActorState: {
            id: string;
            kind: string;
            stream: components["schemas"]["StreamState"];
            work: components["schemas"]["WorkState"] | null;
        };
        /** @description What is running, and what each actor of the service is doing. */
        Actors: components["schemas"]["WorkAndActors"] & {
            maintenance: components["schemas"]["MaintenanceState"] | null;
        };
        /** @enum {string} */
        AnswerType: "free_text" | "single_choice" | "multi_choice" | "yes_no" | "number" | "date" | "uuid" | "json_object";
        Answers: {
            /** @description By the ids of the questions. */
            answers: Record<string, unknown>;
            clarification_id?: components["schemas"]["ClarificationId"] | null;
            /** @description Of a step that runs once for each. */
            item?: string | null;
        };
        ApiKey: {
            /** Format: date-time */
            created_at: string;
            created_by: string;
            /** Format: date-time */
            expires_at: string | null;
            id: components["schemas"]["KeyId"];
            /** Format: date-time */
            last_used_at: string | null;
            name: string;
            object: string;
            /** Format: date-time */
            revoked_at: string | null;
            role: components["schemas"]["Role"];
            /** @description Null for all. */
            workspaces: components["schemas"]["WorkspaceId"][] | null;
        };
        ApiKeyList: {
            items: components["schemas"]["ApiKey"][];
            total: number;
        };
        ApiKeyToMake: {
            /**
             * Format: date-time
             * @description In the future; null for never.
             */
            expires_at?: string | null;
            name: string;
            role: components["schemas"]["Role"];
            /** @description Null for all. */
            workspaces?: components["schemas"]["WorkspaceId"][] | null;
        };
        /** @description Who has asked. */
        AuditActor: {
            /** @description Of a person, as the provider knows them. Entries of older services do not have it. */
            issuer: string | null;
            /** @description Of the API key; null of a person, and where nobody signs in. */
            key_id: string | null;
            name: string;
            role: string;
            subject: string | null;
        };
        /** @description A record in its place. */
        AuditEntry: components["schemas"]["AuditRecord"] & {
            /** Format: int64 */
            sequence: number;
        };
        /** @description A request that was to change something, and what came of it. */
        AuditRecord: {
            actor: components["schemas"]["AuditActor"];
            /** @description Where the client is; null of a connection that had gone. */
            address: string | null;
            /** Format: date-time */
            at: string;
            method: string;
            /** @description Without its query, which may carry secrets. */
            path: string;
            request_id: string;
            /**
             * Format: int32
             * @description Of the answer: below 400 something has been changed.
             */
            status: number;
        };
        /** @description The build, as its row has it. */
        Build: {
            /** Format: date-time */
            completed_at: string | null;
            config_version: string | null;
            configuration_id: components["schemas"]["ConfigurationId"];
            content_digest: string;
            /** Format: date-time */
            created_at: string;
            /** Format: int64 */
            duration_ms: number | null;
            engine_spec: string;
            engine_version: string | null;
            error: components["schemas"]["BuildError"] | null;
            /** Format: int32 */
            exit_code: number | null;
            fingerprint: string;
            id: components["schemas"]["BuildId"];
            /** Format: int64 */
            last_sequence: number;
            links: components["schemas"]["BuildLinks"];
            log_degraded: boolean;
            node_id: components["schemas"]["NodeId"];
            object: string;
            python_interpreter: string;
            python_version: string | null;
            reason: components["schemas"]["BuildReason"];
            reused_build_id: components["schemas"]["BuildId"] | null;
            /** Format: date-time */
            started_at: string | null;
            status: components["schemas"]["BuildStatus"];
            summary: string | null;
            venv_present: boolean;
            workspace_id: components["schemas"]["WorkspaceId"];
        };
        /** @description `build.completed`, the one terminal event of a build's stream. */
        BuildCompleted: {
            /** Format: int64 */
            duration_ms?: number | null;
            env: components["schemas"]["VenvChoice"];
            error?: components["schemas"]["BuildErrorDetails"] | null;
            /** Format: int32 */
            exit_code?: number | null;
            metadata?: components["schemas"]["VenvMetadata"] | null;
            /** @description One of the terminal statuses. */
            status: components["schemas"]["BuildStatus"];
            summary?: string | null;
        };
        /** @description `build.created`, always the first event of a build. */
        BuildCreated: {
            engine_spec: string;
            engine_version_hint?: string | null;
            fingerprint: string;
            python_bin: string;
            reason: components["schemas"]["BuildReason"];
            /** @description False when an active build is used again. */
            should_build: boolean;
        };
        BuildError: {
            code: components["schemas"]["BuildErrorCode"];
            message: string;
        };
        /** @enum {string} */
        BuildErrorCode: "venv_create_failed" | "pip_upgrade_failed" | "engine_install_failed" | "config_install_failed" | "import_check_failed" | "dependency_conflict" | "metadata_failed" | "build_timeout" | "build_cancelled" | "safe_mode" | "interrupted" | "venvs_dir_unwritable" | "orchestration_error";
        BuildErrorContext: {
            /** Format: int32 */
            exit_code?: number | null;
            last_lines: string[];
        };
        /** @description `error` of a build that did not become active. */
        BuildErrorDetails: {
            code: components["schemas"]["BuildErrorCode"];
            details: components["schemas"]["BuildErrorContext"];
            message: string;
        };
        BuildId: string;
        BuildLinks: components["schemas"]["EventLinks"] & {
            cancel: string;
            logs: string;
            self: string;
        };
        /** @description `build.phase.completed`. */
        BuildPhaseCompleted: {
            /** Format: int64 */
            duration_ms: number;
            /** Format: int32 */
            exit_code?: number | null;
            message?: string | null;
            phase: components["schemas"]["Phase"];
            status: components["schemas"]["PhaseStatus"];
        };
        /** @description `build.phase.started`. */
        BuildPhaseStarted: {
            message: string;
            phase: components["schemas"]["Phase"];
        };
        /** @enum {string} */
        BuildReason: "force_rebuild" | "cache_miss" | "cache_hit" | "manual";
        /** @description `build.started`. */
        BuildStarted: {
            reason: components["schemas"]["BuildReason"];
        };
        /** @enum {string} */
        BuildStatus: "queued" | "building" | "active" | "failed" | "cancelled";
        CallId: string;
        /** @description A call's request, without what only its connection needs: keys and addresses are in none. */
        CallPrompt: {
            /**
             * Format: int32
             * @description Of the step, from 1.
             */
            attempt: number;
            call_id: components["schemas"]["CallId"];
            /** @description Of a step that runs once for each. */
            item: string | null;
            /**
             * Format: int64
             * @description What is not kept of the texts, from their end; 0 of nearly all.
             */
            left_out_bytes: number;
            /** Format: int32 */
            max_tokens: number;
            /** @description In the order in which they were sent. */
            messages: components["schemas"]["PromptMessage"][];
            model: string;
            provider: string;
            step_id: string;
            /** Format: double */
            temperature: number | null;
        };
        /** @description Who asked for something. */
        Caller: {
            /** @description Of a person, as the provider knows them; not there for anybody else. */
            issuer?: string | null;
            key_id?: components["schemas"]["KeyId"] | null;
            name: string;
            subject?: string | null;
        };
        Cancellation: {
            reason?: string | null;
        };
        Choice: {
            label: string;
            value: string;
        };
        ChosenWorkspace: {
            is_default: boolean;
            workspace_id: components["schemas"]["WorkspaceId"];
        };
        /** @description The last questions that it asked. */
        Clarification: {
            answers: {
                [key: string]: unknown;
            } | null;
            clarification_id: components["schemas"]["ClarificationId"];
            /** Format: date-time */
            deadline: string | null;
            questions: components["schemas"]["Question"][];
        };
        /** @description `clarification_answered`. */
        ClarificationAnswered: {
            answered_by?: components["schemas"]["Caller"] | null;
            /** @description By the question's id. */
            answers: {
                [key: string]: unknown;
            };
            clarification_id: components["schemas"]["ClarificationId"];
        };
        ClarificationId: string;
        /** @description `clarification_needed`. */
        ClarificationNeeded: {
            clarification_id: components["schemas"]["ClarificationId"];
            /** Format: date-time */
            deadline?: string | null;
            questions: components["schemas"]["Question"][];
        };
        Component: {
            detail: string | null;
            name: string;
            status: string;
        };
        Configuration: {
            /** Format: date-time */
            activated_at: string | null;
            active_build_id: components["schemas"]["BuildId"] | null;
            content_digest: string;
            /** Format: date-time */
            created_at: string;
            display_name: string;
            id: components["schemas"]["ConfigurationId"];
            object: string;
            /** Format: date-time */
            published_at: string | null;
            status: components["schemas"]["ConfigurationStatus"];
            /** Format: date-time */
            updated_at: string;
            workspace_id: components["schemas"]["WorkspaceId"];
        };
        ConfigurationChange: {
            display_name: string;
        };
        ConfigurationId: string;
        ConfigurationIssue: {
            message: string;
            path: string;
        };
        ConfigurationSource: {
            template_id: string;
            /** @enum {string} */
            type: "template";
        } | {
            configuration_id: components["schemas"]["ConfigurationId"];
            /** @enum {string} */
            type: "clone";
        };
        /** @enum {string} */
        ConfigurationStatus: "draft" | "published" | "active" | "inactive";
        /** @description What is wrong with a configuration. */
        ConfigurationValidation: {
            content_digest: string;
            id: components["schemas"]["ConfigurationId"];
            issues: components["schemas"]["ConfigurationIssue"][];
            status: components["schemas"]["ConfigurationStatus"];
            workspace_id: components["schemas"]["WorkspaceId"];
        };
        ConsoleEntry: components["schemas"]["ConsoleLine"] & {
            /** Format: date-time */
            created_at: string;
            /** Format: int64 */
            id: number;
        };
        /** @description An engine may send console lines of its own: whatever can be read of them is shown. */
        ConsoleLine: {
            level: unknown;
            message: unknown;
            scope: unknown;
            stream: unknown;
        };
        Decision: {
            accepted: boolean;
            comment?: string | null;
            /** @description Of a step that runs once for each. */
            item?: string | null;
        };
        DirectoryMade: {
            created: boolean;
            path: string;
        };
        Document: {
            /** Format: int64 */
            byte_size: number;
            content_type: string;
            /** Format: date-time */
            created_at: string;
            /** Format: date-time */
            expires_at: string | null;
            id: components["schemas"]["DocumentId"];
            last_run: components["schemas"]["LastRun"] | null;
            /** Format: date-time */
            last_run_at: string | null;
            links: components["schemas"]["DocumentLinks"];
            metadata: Record<string, unknown>;
            name: string;
            object: string;
            sha256: string;
            /** @enum {string} */
            status: "uploaded" | "processing" | "processed" | "failed";
            tags: string[];
            /** Format: date-time */
            updated_at: string;
            workspace_id: components["schemas"]["WorkspaceId"];
        };
        DocumentChange: {
            /**
             * Format: date-time
             * @description A time in the future; null for never.
             */
            expires_at?: string | null;
            metadata?: Record<string, unknown> | null;
            /** @description At most 50. */
            tags?: string[] | null;
        };
        DocumentId: string;
        DocumentLinks: {
            download: string;
            self: string;
            sheets: string;
        };
        /** @description A version of a document that a step has read or written. */
        DocumentRef: {
            document_id: components["schemas"]["DocumentId"];
            document_type: string;
            /** Format: int64 */
            version: number;
        };
        /** @enum {string} */
        DocumentStatus: "draft" | "active" | "stale" | "archived";
        /** @enum {string} */
        EndReason: "dependency_failed" | "execution_failed" | "execution_cancelled" | "duration_limit" | "execution_ended";
        EventId: string;
        /** @description Where the events of some work are. */
        EventLinks: {
            events: string;
            events_download: string;
            events_stream: string;
        };
        /** @description The execution, as its row has it. */
        Execution: {
            /** Format: date-time */
            completed_at: string | null;
            /** Format: date-time */
            created_at: string;
            created_by: string;
            current_steps: string[];
            execution_id: components["schemas"]["ExecutionId"];
            failure: components["schemas"]["ExecutionFailure"] | null;
            /** Format: int64 */
            last_sequence: number;
            links: components["schemas"]["ExecutionLinks"];
            log_degraded: boolean;
            object: string;
            pending: components["schemas"]["Pending"][];
            retry_of_execution_id: components["schemas"]["ExecutionId"] | null;
            /** Format: int64 */
            revision: number;
            scope_id: string;
            scope_type: string;
            /** Format: date-time */
            started_at: string | null;
            status: components["schemas"]["ExecutionStatus"];
            totals: components["schemas"]["Totals"];
            workflow_id: string;
            workspace_id: components["schemas"]["WorkspaceId"];
        };
        /** @description `complete`, the one terminal event of an execution. */
        ExecutionComplete: {
            documents: components["schemas"]["Product"][];
            failure?: components["schemas"]["ExecutionFailure"] | null;
            /** @description One of the terminal statuses. */
            status: components["schemas"]["ExecutionStatus"];
            totals: components["schemas"]["Totals"];
        };
        /** @description What an execution took, whole and by step. */
        ExecutionCosts: {
            /** Format: int64 */
            cache_read_tokens: number;
            /** Format: int64 */
            cache_write_tokens: number;
            /** Format: int64 */
            calls: number;
            /** Format: int64 */
            errors: number;
            execution_id: components["schemas"]["ExecutionId"];
            /** Format: int64 */
            input_tokens: number;
            /** Format: int64 */
            latency_ms: number;
            /** Format: int64 */
            output_tokens: number;
            steps: components["schemas"]["StepCosts"][];
            total_cost_usd: components["schemas"]["MicroUsd"];
            /** Format: int64 */
            unpriced_calls: number;
            workflow_id: string;
            workspace_id: components["schemas"]["WorkspaceId"];
        };
        ExecutionCounts: {
            /** Format: int64 */
            total: number;
        } & {
            [key: string]: number;
        };
        /** @description `failure` of an execution that did not complete. */
        ExecutionFailure: {
            code: components["schemas"]["ExecutionFailureCode"];
            item: string | null;
            message: string;
            /** @description The step that it failed for, if it was one. */
            step_id: string | null;
        };
        /** @enum {string} */
        ExecutionFailureCode: "step_failed" | "cost_limit" | "duration_limit" | "execution_cancelled" | "interrupted" | "orchestration_error" | "log_unavailable";
        ExecutionId: string;
        ExecutionLinks: components["schemas"]["EventLinks"] & {
            cancel: string;
            costs: string;
            retry: string;
            self: string;
            steps: string;
        };
        /** @description `execution_started`, always the first event of an execution. */
        ExecutionStarted: {
            /** @description What the execution that this one repeats has completed; it counts as completed here. */
            kept?: components["schemas"]["Kept"][];
            retry_of_execution_id?: components["schemas"]["ExecutionId"] | null;
            /** Format: int64 */
            revision: number;
            scope_id: string;
            scope_type: string;
            started_by?: components["schemas"]["Caller"] | null;
            /** @description Their ids, in the order of the definition. */
            steps: string[];
            workflow_id: string;
        };
        /** @enum {string} */
        ExecutionStatus: "pending" | "running" | "waiting_clarification" | "waiting_acceptance" | "completed" | "failed" | "cancelled";
        /** @description One place of a request that is wrong. */
        FieldError: {
            /** @description What is wrong, for programs. */
            code: string;
            /** @description What is wrong, or what is allowed. */
            message: string;
            /** @description Where: a key of the body, the name of a parameter; empty for the whole. */
            path: string;
        };
        /** @description A field of a manifest. */
        FieldInfo: {
            field: string;
            label?: string | null;
            required?: boolean;
        };
        FileCapabilities: {
            can_create: boolean;
            can_delete: boolean;
            can_rename: boolean;
            editable: boolean;
        };
        /** @description A file with its content, for clients that accept JSON rather than the bytes themselves. */
        FileContent: {
            content: string;
            content_type: string;
            /** @description `utf-8`, or `base64` for what is no text. */
            encoding: string;
            etag: string;
            /** Format: date-time */
            mtime: string;
            path: string;
            /** Format: int64 */
            size: number;
        };
        /** @description Of all that was asked for, on whatever page. */
        FileCounts: {
            directories: number;
            files: number;
        };
        FileEntry: {
            content_type: string;
            /** @description How many directories it is in. */
            depth: number;
            /** @description Null of a directory. */
            etag: string | null;
            has_children: boolean;
            kind: string;
            /** Format: date-time */
            mtime: string;
            name: string;
            parent: string;
            path: string;
            /** Format: int64 */
            size: number | null;
        };
        FileLimits: {
            asset_max_bytes: number;
            code_max_bytes: number;
        };
        FileListing: {
            capabilities: components["schemas"]["FileCapabilities"];
            configuration_id: components["schemas"]["ConfigurationId"];
            /** @description How many entries there are here. */
            count: number;
            depth: string;
            entries: components["schemas"]["FileEntry"][];
            /** @description Of all paths and contents of the package, whatever part of it is listed. */
            fileset_hash: string;
            /** Format: date-time */
            generated_at: string;
            limits: components["schemas"]["FileLimits"];
            next_token: string | null;
            prefix: string;
            /** @description Always empty: paths begin at the package. */
            root: string;
            status: components["schemas"]["ConfigurationStatus"];
            summary: components["schemas"]["FileCounts"];
            workspace_id: components["schemas"]["WorkspaceId"];
        };
        /** @description A file that has another path now. */
        FileMoved: {
            content_digest: string;
            etag: string;
            from: string;
            /** Format: date-time */
            mtime: string;
            /** Format: int64 */
            size: number;
            to: string;
        };
        /** @description A file that was written. */
        FileWritten: {
            /** @description Of the configuration, as it is now. */
            content_digest: string;
            created: boolean;
            etag: string;
            /** Format: date-time */
            mtime: string;
            path: string;
            /** Format: int64 */
            size: number;
        };
        /** @description What is wrong with a reply, or with a document: where (a JSON pointer, empty for the whole), what, and by which rule. */
        Finding: {
            code: string;
            message: string;
            path: string;
        };
        Health: {
            components: components["schemas"]["Component"][];
            status: string;
            /** Format: date-time */
            timestamp: string;
        };
        HolderId: string;
        /** @description A step, or an item of one, that an earlier execution has completed. */
        Kept: {
            document?: components["schemas"]["Product"] | null;
            item?: string | null;
            /** @description Of a step that runs once for each. */
            items?: string[] | null;
            step_id: string;
        };
        KeyId: string;
        Label: string;
        LastRun: {
            message: string | null;
            /** Format: date-time */
            run_at: string;
            run_id: components["schemas"]["RunId"];
            status: components["schemas"]["RunStatus"];
        };
        /** @description Paths that are not in a list of paths. */
        LeftOutPaths: {
            /** Format: int64 */
            output_paths: number;
            /** Format: int64 */
            processed_files: number;
        };
        Liveness: {
            status: string;
        };
        /** @description `llm_call`, written when the reply is stored; a retry is a call of its own. */
        LlmCall: {
            /**
             * Format: int32
             * @description Of the step.
             */
            attempt: number;
            /** Format: int64 */
            cache_read_tokens: number;
            /** Format: int64 */
            cache_write_tokens: number;
            call_id: components["schemas"]["CallId"];
            /** @description Of the reply as it was stored; a call that failed has none. */
            content_digest?: string | null;
            cost_usd?: components["schemas"]["MicroUsd"] | null;
            /** @description The kind of error, as `rate_limited` or `interrupted`. */
            error?: string | null;
            error_message?: string | null;
            /** Format: int64 */
            input_tokens: number;
            /** Format: int64 */
            latency_ms: number;
            model: string;
            /** Format: int64 */
            output_tokens: number;
            provider: string;
            stop_reason?: string | null;
        };
        /** @enum {string} */
        LogLevel: "DEBUG" | "INFO" | "WARNING" | "ERROR";
        LogPosition: {
            /** Format: int64 */
            bytes: number;
            closed: boolean;
            /** Format: int64 */
            last_sequence: number;
        };
        /** @description One round. */
        MaintenanceReport: {
            /** Format: int64 */
            duration_ms: number;
            /** Format: date-time */
            started_at: string;
            tasks: components["schemas"]["TaskReport"][];
        };
        /** @description The observable state of the actor that makes rounds. */
        MaintenanceState: {
            /**
             * Format: int64
             * @description Counted from 1; more than that after a panic.
             */
            generation: number;
            /** @description Callers that wait for the next round. */
            waiting: number;
            /** @description A round is in progress. */
            working: boolean;
        };
        Member: {
            /** Format: date-time */
            added_at: string;
            added_by: string;
            /** @description Of the key or the person. */
            id: components["schemas"]["HolderId"];
            kind: string;
            name: string;
            object: string;
            role: components["schemas"]["MemberRole"];
        };
        MemberChange: {
            role: components["schemas"]["MemberRole"];
        };
        MemberList: {
            items: components["schemas"]["Member"][];
            total: number;
        };
        /** @enum {string} */
        MemberRole: "viewer" | "operator";
        MemberToAdd: {
            member?: components["schemas"]["HolderId"] | null;
            role: components["schemas"]["MemberRole"];
            /** @description Of a person, as the provider names them; they have tried to sign in at least once. */
            subject?: string | null;
        };
        /** @description What a caller may do in one workspace. */
        Membership: {
            role: components["schemas"]["MemberRole"];
            workspace_id: components["schemas"]["WorkspaceId"];
        };
        MicroUsd: string;
        /** @description A key with its secret. */
        NewApiKey: components["schemas"]["ApiKey"] & {
            key: string;
        };
        NewBuild: {
            /**
             * @default {
             *       "force": false,
             *       "wait": false
             *     }
             */
            options: components["schemas"]["NewBuildOptions"];
            /** @default false */
            stream: boolean;
        };
        NewBuildOptions: {
            /**
             * @description Even when there is one that could be used again.
             * @default false
             */
            force: boolean;
            /**
             * @description The answer waits for its end, up to `ADE_BUILD_ENSURE_WAIT`.
             * @default false
             */
            wait: boolean;
        };
        NewConfiguration: {
            display_name: string;
            source: components["schemas"]["ConfigurationSource"];
        };
        NewExecution: {
            /** @description Documents by their types. */
            input?: Record<string, unknown>;
            scope_id: string;
            scope_type: string;
            stream?: boolean;
            workflow_id: string;
            workspace_id?: components["schemas"]["WorkspaceId"] | null;
        };
        NewRun: {
            /**
             * @default {
             *       "document_ids": [],
             *       "dry_run": false,
             *       "force_rebuild": false,
             *       "input_document_id": null,
             *       "input_sheet_name": null,
             *       "input_sheet_names": [],
             *       "log_level": null,
             *       "metadata": {},
             *       "validate_only": false
             *     }
             */
            options: components["schemas"]["NewRunOptions"];
            /** @default false */
            stream: boolean;
        };
        NewRunOptions: {
            /** @default [] */
            document_ids: components["schemas"]["DocumentId"][];
            /** @default false */
            dry_run: boolean;
            /** @default false */
            force_rebuild: boolean;
            /** @default null */
            input_document_id: components["schemas"]["DocumentId"] | null;
            /**
             * @description As one more of `input_sheet_names`.
             * @default null
             */
            input_sheet_name: string | null;
            /** @default [] */
            input_sheet_names: string[];
            /** @default null */
            log_level: components["schemas"]["LogLevel"] | null;
            /** @default {} */
            metadata: {
                [key: string]: string;
            };
            /** @default false */
            validate_only: boolean;
        };
        NewWorkflowDocument: {
            content: Record<string, unknown> | unknown[] | string | number | boolean;
            document_type: string;
            scope_id: string;
            scope_type: string;
            status?: components["schemas"]["DocumentStatus"];
            summary?: string | null;
            title?: string | null;
            workspace_id?: components["schemas"]["WorkspaceId"] | null;
        };
        NewWorkspace: {
            name: string;
            slug?: string | null;
        };
        Node: {
            /** @description Where the others reach it; null for a node that is alone. */
            address: string | null;
            /** @description Whether it is at work, and was seen within the last ten seconds. */
            alive: boolean;
            /** @description Whether it is the one that answers. */
            is_self: boolean;
            /** @description Of its journal. */
            name: string;
            node_id: components["schemas"]["NodeId"];
            object: string;
            /**
             * Format: date-time
             * @description By the clock of the database.
             */
            seen_at: string;
            /** Format: date-time */
            started_at: string;
            state: components["schemas"]["NodeState"];
            /** @description Of the program. */
            version: string;
        };
        NodeId: string;
        NodeList: {
            items: components["schemas"]["Node"][];
            total: number;
        };
        /** @enum {string} */
        NodeState: "serving" | "draining" | "stopped" | "lost";
        Output: {
            /** Format: int64 */
            byte_size: number;
            content_type: string;
            download_url: string;
            kind: string | null;
            name: string;
        };
        OutputList: {
            files: components["schemas"]["Output"][];
            /** Format: int64 */
            left_out: number;
        };
        /** @description Something that waits for a person. */
        Pending: {
            accepted_by: string[] | null;
            clarification_id: components["schemas"]["ClarificationId"] | null;
            /** Format: date-time */
            deadline: string | null;
            document: components["schemas"]["DocumentRef"] | null;
            item: string | null;
            kind: components["schemas"]["PendingKind"];
            questions: components["schemas"]["Question"][] | null;
            step_id: string;
        };
        /** @enum {string} */
        PendingKind: "clarification" | "acceptance";
        Person: {
            /**
             * Format: date-time
             * @description Since when they have not been let in.
             */
            denied_at: string | null;
            id: components["schemas"]["PersonId"];
            issuer: string;
            /** @description What they call themselves. */
            name: string;
            object: string;
            /** @description By their groups. */
            role: components["schemas"]["Role"];
            /**
             * Format: date-time
             * @description When they came last, let in or not.
             */
            signed_in_at: string;
            subject: string;
            /** @description Null for all. */
            workspaces: components["schemas"]["WorkspaceId"][] | null;
        };
        PersonId: string;
        PersonList: {
            items: components["schemas"]["Person"][];
        };
        /** @enum {string} */
        Phase: "create_venv" | "upgrade_pip" | "install_engine" | "install_config" | "verify_imports" | "collect_metadata";
        /** @enum {string} */
        PhaseStatus: "succeeded" | "failed" | "skipped";
        /** @enum {string} */
        Priority: "must" | "should" | "could";
        /** @description When the run's process ran; a run that never got so far has neither start nor exit code. */
        ProcessTimes: {
            /** Format: date-time */
            completed_at?: string | null;
            /** Format: int64 */
            duration_ms?: number | null;
            /** Format: int32 */
            exit_code?: number | null;
            /** Format: date-time */
            started_at?: string | null;
        };
        /** @description A version that a step has written. */
        Product: components["schemas"]["DocumentRef"] & {
            content_digest: string;
            item?: string | null;
            step_id: string;
        };
        /** @enum {string} */
        ProgressKind: "text_delta" | "note";
        PromptMessage: {
            role: components["schemas"]["PromptRole"];
            text: string;
        };
        /** @enum {string} */
        PromptRole: "system" | "user" | "assistant";
        Provider: {
            /** @description Where a browser goes to be signed in; `return_to` says where it goes then. */
            begin: string;
            /** @description What people call it. */
            name: string;
        };
        Providers: {
            items: components["schemas"]["Provider"][];
        };
        /** @description One question of a set; `required` is what counts, the rest helps the person who answers. */
        Question: {
            answer_type: components["schemas"]["AnswerType"];
            blocking: boolean;
            choices: components["schemas"]["Choice"][] | null;
            default: unknown;
            id: string;
            intent: string;
            priority: components["schemas"]["Priority"];
            references: components["schemas"]["Reference"][] | null;
            required: boolean;
            text: string;
        };
        Readiness: {
            components: components["schemas"]["Component"][];
            status: string;
        };
        /** @description What a question speaks of. */
        Reference: {
            kind: string;
            ref: string;
        };
        Rename: {
            dest_if_match?: string | null;
            /** @enum {string} */
            op?: "move";
            overwrite?: boolean;
            to: string;
        };
        /** @description A body that says nothing but how the answer is wanted. */
        Repetition: {
            /** @default false */
            stream: boolean;
        };
        /** @enum {string} */
        RetryReason: "validation" | "provider" | "rejection";
        /** @enum {string} */
        Role: "viewer" | "operator" | "admin";
        /** @description The run, as its row has it. */
        Run: {
            /** Format: int32 */
            attempt: number;
            build_id: components["schemas"]["BuildId"] | null;
            /** Format: date-time */
            completed_at: string | null;
            config_version: string | null;
            configuration_id: components["schemas"]["ConfigurationId"];
            /** Format: date-time */
            created_at: string;
            /** Format: int64 */
            duration_ms: number | null;
            engine_version: string | null;
            env_reason: string | null;
            env_reused: boolean | null;
            events_path: string;
            /** Format: int32 */
            exit_code: number | null;
            failure_code: components["schemas"]["Label"] | null;
            failure_message: string | null;
            failure_stage: components["schemas"]["Label"] | null;
            id: components["schemas"]["RunId"];
            input: components["schemas"]["RunInput"];
            /** Format: int64 */
            last_sequence: number;
            links: components["schemas"]["RunLinks"];
            log_degraded: boolean;
            max_validation_severity: string | null;
            mode: components["schemas"]["RunMode"];
            node_id: components["schemas"]["NodeId"];
            object: string;
            output: components["schemas"]["RunOutput"];
            output_paths: string[];
            retry_of_run_id: components["schemas"]["RunId"] | null;
            /** Format: int64 */
            row_count: number | null;
            /** Format: date-time */
            started_at: string | null;
            status: components["schemas"]["RunStatus"];
            /** Format: int64 */
            table_count: number | null;
            workspace_id: components["schemas"]["WorkspaceId"];
        };
        /** @description What the run left behind; paths are relative to its directory. */
        RunArtifacts: {
            events_path: string;
            /** @description The first of them, if there are very many. */
            output_paths: string[];
            /** @description The original names of the documents that the engine says it has read. */
            processed_files?: string[];
            truncated?: components["schemas"]["LeftOutPaths"] | null;
        };
        /** @description `run.cancelling`. */
        RunCancelling: {
            /** Format: int64 */
            grace_seconds: number;
            requested_by?: components["schemas"]["Caller"] | null;
        };
        /** @description `run.completed`, the one terminal event of a run. */
        RunCompleted: {
            artifacts: components["schemas"]["RunArtifacts"];
            execution: components["schemas"]["ProcessTimes"];
            failure?: components["schemas"]["RunFailure"] | null;
            /** @description One of the terminal statuses. */
            status: components["schemas"]["RunStatus"];
            /** @description `ade.run_summary/v1`. */
            summary?: unknown;
        };
        RunDiagnostics: {
            engine: unknown;
            /** @description Payloads of `console.line`. */
            last_lines: Record<string, unknown>[];
            log: components["schemas"]["LogPosition"];
            /** @description Payloads of `run.phase.completed` and `build.phase.completed`, each with its `scope`. */
            phases: Record<string, unknown>[];
            /** Format: int64 */
            phases_left_out: number;
            run_id: components["schemas"]["RunId"];
        };
        /** @description `failure` of a run that did not succeed. */
        RunFailure: {
            code: components["schemas"]["Label"];
            message: string;
            stage: components["schemas"]["Label"];
        };
        RunId: string;
        RunInput: {
            document_ids: components["schemas"]["DocumentId"][];
            input_file_count: number;
            /** Format: int64 */
            input_sheet_count: number | null;
            input_sheet_names: string[];
        };
        RunLinks: components["schemas"]["EventLinks"] & {
            cancel: string;
            diagnostics: string;
            logfile: string;
            logs: string;
            outputs: string;
            self: string;
            summary: string;
        };
        /** @enum {string} */
        RunMode: "execute" | "validate_only" | "dry_run";
        /** @description What the caller asked for, as accepted. */
        RunOptions: {
            /** @default [] */
            document_ids: components["schemas"]["DocumentId"][];
            /** @default false */
            dry_run: boolean;
            /** @default false */
            force_rebuild: boolean;
            /** @default [] */
            input_sheet_names: string[];
            /** @default null */
            log_level: components["schemas"]["LogLevel"] | null;
            /** @default {} */
            metadata: {
                [key: string]: string;
            };
            /** @default false */
            validate_only: boolean;
        };
        RunOutput: {
            has_outputs: boolean;
            output_count: number;
            processed_files: string[];
        };
        /** @description `run.queued`, always the first event of a run. */
        RunQueued: {
            mode: components["schemas"]["RunMode"];
            options: components["schemas"]["RunOptions"];
            queued_by?: components["schemas"]["Caller"] | null;
        };
        /** @description `run.started`; the versions are those that the build found in its venv. */
        RunStarted: {
            config_version?: string | null;
            engine_version?: string | null;
            env: components["schemas"]["VenvChoice"];
            /** @description The fields of the configuration's manifest, in its order; the run's summary is told by them. */
            fields?: components["schemas"]["FieldInfo"][];
            /**
             * Format: int64
             * @description Fields of the manifest beyond those.
             */
            fields_left_out?: number;
            mode: components["schemas"]["RunMode"];
        };
        /** @enum {string} */
        RunStatus: "queued" | "building" | "running" | "succeeded" | "failed" | "cancelled";
        /** @description `ade.run_summary/v1`: what was read, tables and their columns, and what was wrong with them. */
        RunSummary: Record<string, unknown>;
        /** @description `run.waiting`. */
        RunWaiting: {
            build_id?: components["schemas"]["BuildId"] | null;
            /**
             * Format: int64
             * @description Place in the queue, from 1, while it waits for capacity.
             */
            position?: number | null;
            reason: components["schemas"]["WaitReason"];
        };
        SafeMode: {
            /** @description Why, for those who are refused. */
            detail: string | null;
            enabled: boolean;
        };
        SafeModeSwitch: {
            detail?: string | null;
            enabled: boolean;
        };
        Service: {
            api: string;
            health: string[];
            service: string;
            version: string;
        };
        Session: {
            /** @description For `X-CSRF-Token`, of a session. */
            csrf_token: string | null;
            /**
             * Format: int64
             * @description Of a session: unused for so long, it ends.
             */
            idle_timeout_seconds: number | null;
            /** @description Of a person, as the provider knows them. */
            issuer: string | null;
            key_id: components["schemas"]["KeyId"] | null;
            /** @description What the caller may do in single workspaces besides. */
            memberships: components["schemas"]["Membership"][];
            name: string;
            object: string;
            role: components["schemas"]["Role"];
            /** @description Whether the service asks for keys at all. */
            sign_in: boolean;
            subject: string | null;
            /** @description `key`, `session`, or `none` where sign-in is off. */
            via: string;
            /** @description Null for all. */
            workspaces: components["schemas"]["WorkspaceId"][] | null;
        };
        /** @description A sheet of a workbook, or the one that a text file is. */
        Sheet: {
            /** @description Its place among all sheets, from 0. */
            index: number;
            /** @description The one that is shown when the workbook is opened. */
            is_active: boolean;
            kind: string;
            name: string;
            state: string;
        };
        SignIn: {
            /** @default null */
            key: string | null;
        };
        /** @enum {string} */
        Source: "api" | "engine" | "builder" | "executor" | "scheduler";
        /** @description A step, or one item of it. */
        Step: {
            /** Format: int32 */
            attempt: number;
            clarification: components["schemas"]["Clarification"] | null;
            /** Format: date-time */
            completed_at: string | null;
            cost_usd: components["schemas"]["MicroUsd"];
            document_id: components["schemas"]["DocumentId"] | null;
            error: components["schemas"]["StepError"] | null;
            item: string | null;
            /** @description An earlier execution has completed it. */
            kept: boolean;
            /** Format: date-time */
            started_at: string | null;
            status: components["schemas"]["StepStatus"];
            step_id: string;
            /** Format: int64 */
            version: number | null;
        };
        /** @description `step_completed`. A step that runs once for each has no document itself: its items have. */
        StepCompleted: {
            content_digest?: string | null;
            document_id?: components["schemas"]["DocumentId"] | null;
            document_type: string;
            /** Format: int64 */
            duration_ms: number;
            /** Format: int64 */
            version?: number | null;
        };
        StepCosts: components["schemas"]["Usage"] & {
            /** Format: int64 */
            latency_ms: number;
            model: string;
            provider: string;
            step_id: string;
        };
        /** @description `step_skipped` and `step_cancelled`. */
        StepEnded: {
            reason: components["schemas"]["EndReason"];
        };
        /** @description `error` of a step that failed. */
        StepError: {
            code: components["schemas"]["StepErrorCode"];
            findings: components["schemas"]["Finding"][];
            message: string;
        };
        /** @enum {string} */
        StepErrorCode: "input_missing" | "input_too_large" | "collection_invalid" | "item_failed" | "validation_failed" | "provider_error" | "rejected" | "clarification_expired" | "step_timeout" | "cost_limit" | "orchestration_error";
        /** @description `step_failed`. */
        StepFailed: {
            error: components["schemas"]["StepError"];
        };
        /** @description `step_progress`. */
        StepProgress: {
            kind: components["schemas"]["ProgressKind"];
            text: string;
        };
        /** @description `step_retrying`. */
        StepRetrying: {
            /**
             * Format: int32
             * @description The attempt that begins now; the same as before when only a call is made again.
             */
            attempt: number;
            findings: components["schemas"]["Finding"][];
            reason: components["schemas"]["RetryReason"];
        };
        /** @description `step_started`. A step that runs once for each begins with one that names its items, and each item with its own. */
        StepStarted: {
            /** Format: int32 */
            attempt: number;
            inputs: components["schemas"]["DocumentRef"][];
            /** @description The keys of the items, of a step that runs once for each. */
            items?: string[] | null;
            model: string;
            role: string;
        };
        /** @enum {string} */
        StepStatus: "pending" | "running" | "waiting_clarification" | "waiting_acceptance" | "completed" | "failed" | "skipped" | "cancelled";
        StreamState: {
            /** Format: int64 */
            bytes: number;
            is_closed: boolean;
            /** Format: int64 */
            sequence: number;
            subscribers: number;
        };
        StreamTicket: {
            /** @description Where the events are, the ticket included. */
            events_stream: string;
            /** Format: date-time */
            expires_at: string;
            /**
             * Format: int64
             * @description To be used for the first time within.
             */
            first_use_seconds: number;
            object: string;
            stream: string;
            ticket: string;
        };
        StreamTicketToMake: {
            /** @description The id of a run, a build, an execution or a workspace. */
            stream: string;
        };
        /** @description One task of a round. */
        TaskReport: {
            /** Format: int64 */
            bytes_freed: number;
            /** Format: int64 */
            done: number;
            errors: string[];
            /** Format: int64 */
            failed: number;
            name: string;
            /**
             * Format: int64
             * @description In use at the moment, or not yet possible: the next round looks again.
             */
            skipped: number;
            /** @description There is more than one round may do, or the service is stopping: the next round goes on. */
            unfinished: boolean;
        };
        /** @description What calls have used. */
        Totals: {
            /** Format: int64 */
            cache_read_tokens: number;
            /** Format: int64 */
            cache_write_tokens: number;
            /** Format: int64 */
            calls: number;
            cost_usd: components["schemas"]["MicroUsd"];
            /** Format: int64 */
            duration_ms: number;
            /** Format: int64 */
            input_tokens: number;
            /** Format: int64 */
            output_tokens: number;
            /**
             * Format: int64
             * @description Calls of models that have no price; the cost leaves them out.
             */
            unpriced_calls: number;
        };
        /** @description What calls add up to, wherever it is shown. */
        Usage: {
            /** Format: int64 */
            cache_read_tokens: number;
            /** Format: int64 */
            cache_write_tokens: number;
            /** Format: int64 */
            calls: number;
            cost_usd: components["schemas"]["MicroUsd"];
            /** Format: int64 */
            errors: number;
            /** Format: int64 */
            input_tokens: number;
            /** Format: int64 */
            output_tokens: number;
            /** Format: int64 */
            unpriced_calls: number;
        };
        UsageAverages: {
            cost_per_call: components["schemas"]["MicroUsd"] | null;
            cost_per_execution: components["schemas"]["MicroUsd"] | null;
            /** Format: int64 */
            latency_ms: number | null;
        };
        UsageOfDay: components["schemas"]["UsageOfExecutions"] & {
            date: string;
        };
        UsageOfExecutions: components["schemas"]["Usage"] & {
            /** Format: int64 */
            executions: number;
        };
        UsageOfModel: components["schemas"]["UsageOfExecutions"] & {
            model: string;
            provider: string;
        };
        UsageOfWorkflow: components["schemas"]["UsageOfExecutions"] & {
            workflow_id: string;
        };
        /** @description A range of days, whole and in its parts. */
        UsageSummary: {
            averages: components["schemas"]["UsageAverages"];
            by_day: components["schemas"]["UsageOfDay"][];
            by_model: components["schemas"]["UsageOfModel"][];
            by_workflow: components["schemas"]["UsageOfWorkflow"][];
            end: string;
            start: string;
            /** Format: double */
            success_rate: number | null;
            totals: components["schemas"]["UsageOfExecutions"];
        };
        /** @description Why this venv: `reason` names the decision (`reuse_ok`, or the reason of the build), `reused` its outcome. */
        VenvChoice: {
            reason: string;
            reused: boolean;
        };
        /** @description Versions in a finished venv, and what its engine can do beyond running. */
        VenvMetadata: {
            /** @description What the engine can do beyond `run`, if it reports that. */
            capabilities?: string[] | null;
            config_version?: string | null;
            engine_version?: string | null;
            python_version?: string | null;
        };
        /** @enum {string} */
        WaitReason: "build" | "capacity" | "safe_mode";
        /** @description The form of [`Observed`], whose kinds are data. */
        WorkAndActors: {
            actors: components["schemas"]["ActorState"][];
            /** Format: int64 */
            builds: number;
            /** Format: int64 */
            executions: number;
            /** Format: int64 */
            runs: number;
        };
        /** @description The observable state of a piece of work. */
        WorkState: {
            /**
             * Format: int64
             * @description Counted from 1; more than that after a panic.
             */
            generation: number;
            /** @description Answers and decisions of people that the session has not taken up yet. */
            inbox: number;
            /** @description What the session is doing. */
            stage: string;
            /** @description Whether it has been asked to end, and as what. */
            stopping: string | null;
        };
        /** @description May be sent back as it is. */
        Workflow: {
            /** Format: date-time */
            created_at: string;
            links: components["schemas"]["WorkflowLinks"];
            object: string;
            /** Format: int64 */
            revision: number;
            /** Format: date-time */
            updated_at: string;
            workspace_id: components["schemas"]["WorkspaceId"];
        } & {
            [key: string]: unknown;
        };
        /** @description A workflow's definition, as docs/WORKFLOWS.md tells it. */
        WorkflowDefinition: Record<string, unknown>;
        /** @description With its content. */
        WorkflowDocument: components["schemas"]["WorkflowDocumentItem"] & {
            content: unknown;
        };
        WorkflowDocumentChange: {
            content?: Record<string, unknown> | unknown[] | string | number | boolean;
            status?: components["schemas"]["DocumentStatus"] | null;
            summary?: string | null;
            title?: string | null;
        };
        /** @description As lists show it: without the content. */
        WorkflowDocumentItem: {
            /** Format: int32 */
            attempt: number | null;
            content_digest: string;
            /** Format: date-time */
            created_at: string;
            created_by: string;
            document_id: components["schemas"]["DocumentId"];
            document_type: string;
            execution_id: components["schemas"]["ExecutionId"] | null;
            is_latest: boolean;
            item: string | null;
            links: components["schemas"]["WorkflowDocumentLinks"];
            object: string;
            scope_id: string;
            scope_type: string;
            status: components["schemas"]["DocumentStatus"];
            step_id: string | null;
            summary: string | null;
            title: string;
            /** Format: int64 */
            version: number;
            workspace_id: components["schemas"]["WorkspaceId"];
        };
        WorkflowDocumentLinks: {
            latest: string;
            self: string;
            versions: string;
        };
        WorkflowItem: {
            description: string;
            name: string;
            /** Format: int64 */
            revision: number;
            /** Format: int64 */
            step_count: number;
            workflow_id: string;
        };
        WorkflowLinks: {
            self: string;
        };
        /** @description All workflows of a workspace. */
        WorkflowList: {
            total: number;
            workflows: components["schemas"]["WorkflowItem"][];
        };
        /** @description What became of the executions of a workflow. */
        WorkflowStats: {
            avg_cost_usd: components["schemas"]["MicroUsd"] | null;
            /** Format: int64 */
            avg_duration_ms: number | null;
            /** Format: double */
            clarification_rate: number | null;
            executions: components["schemas"]["ExecutionCounts"];
            /** Format: int64 */
            p50_duration_ms: number | null;
            /** Format: int64 */
            p95_duration_ms: number | null;
            /** Format: double */
            retry_rate: number | null;
            total_cost_usd: components["schemas"]["MicroUsd"];
            /** Format: int64 */
            unpriced_calls: number;
            workflow_id: string;
            workspace_id: components["schemas"]["WorkspaceId"];
        };
        Workspace: {
            /** Format: date-time */
            created_at: string;
            id: components["schemas"]["WorkspaceId"];
            /** @description Whether requests of this caller that name no workspace mean it. */
            is_default: boolean;
            name: string;
            object: string;
            slug: string;
        };
        WorkspaceChange: {
            name?: string | null;
            slug?: string | null;
        };
        WorkspaceId: string;
        /** @description Entries behind a position. */
        AuditPage: {
            items: components["schemas"]["AuditEntry"][];
            /** Format: int64 */
            last_sequence: number;
            /**
             * Format: int64
             * @description The position of the next page.
             */
            next_after_sequence: number;
        };
        ConsolePage: {
            entries: components["schemas"]["ConsoleEntry"][];
            /** Format: int64 */
            next_after_id: number;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type AcceptanceGiven = components['schemas']['AcceptanceGiven'];
export type AcceptanceNeeded = components['schemas']['AcceptanceNeeded'];
export type ActorState = components['schemas']['ActorState'];
export type Actors = components['schemas']['Actors'];
export type AnswerType = components['schemas']['AnswerType'];
export type Answers = components['schemas']['Answers'];
export type ApiKey = components['schemas']['ApiKey'];
export type ApiKeyList = components['schemas']['ApiKeyList'];
export type ApiKeyToMake = components['schemas']['ApiKeyToMake'];
export type AuditActor = components['schemas']['AuditActor'];
export type AuditEntry = components['schemas']['AuditEntry'];
export type AuditRecord = components['schemas']['AuditRecord'];
export type Build = components['schemas']['Build'];
export type BuildCompleted = components['schemas']['BuildCompleted'];
export type BuildCreated = components['schemas']['BuildCreated'];
export type BuildError = components['schemas']['BuildError'];
export type BuildErrorCode = components['schemas']['BuildErrorCode'];
export type BuildErrorContext = components['schemas']['BuildErrorContext'];
export type BuildErrorDetails = components['schemas']['BuildErrorDetails'];
export type BuildId = components['schemas']['BuildId'];
export type BuildLinks = components['schemas']['BuildLinks'];
export type BuildPhaseCompleted = components['schemas']['BuildPhaseCompleted'];
export type BuildPhaseStarted = components['schemas']['BuildPhaseStarted'];
export type BuildReason = components['schemas']['BuildReason'];
export type BuildStarted = components['schemas']['BuildStarted'];
export type BuildStatus = components['schemas']['BuildStatus'];
export type CallId = components['schemas']['CallId'];
export type CallPrompt = components['schemas']['CallPrompt'];
export type Caller = components['schemas']['Caller'];
export type Cancellation = components['schemas']['Cancellation'];
export type Choice = components['schemas']['Choice'];
export type ChosenWorkspace = components['schemas']['ChosenWorkspace'];
export type Clarification = components['schemas']['Clarification'];
export type ClarificationAnswered = components['schemas']['ClarificationAnswered'];
export type ClarificationId = components['schemas']['ClarificationId'];
export type ClarificationNeeded = components['schemas']['ClarificationNeeded'];
export type Component = components['schemas']['Component'];
export type Configuration = components['schemas']['Configuration'];
export type ConfigurationChange = components['schemas']['ConfigurationChange'];
export type ConfigurationId = components['schemas']['ConfigurationId'];
export type ConfigurationIssue = components['schemas']['ConfigurationIssue'];
export type ConfigurationSource = components['schemas']['ConfigurationSource'];
export type ConfigurationStatus = components['schemas']['ConfigurationStatus'];
export type ConfigurationValidation = components['schemas']['ConfigurationValidation'];
export type ConsoleEntry = components['schemas']['ConsoleEntry'];
export type ConsoleLine = components['schemas']['ConsoleLine'];
export type Decision = components['schemas']['Decision'];
export type DirectoryMade = components['schemas']['DirectoryMade'];
export type Document = components['schemas']['Document'];
export type DocumentChange = components['schemas']['DocumentChange'];
export type DocumentId = components['schemas']['DocumentId'];
export type DocumentLinks = components['schemas']['DocumentLinks'];
export type DocumentRef = components['schemas']['DocumentRef'];
export type DocumentStatus = components['schemas']['DocumentStatus'];
export type EndReason = components['schemas']['EndReason'];
export type EventId = components['schemas']['EventId'];
export type EventLinks = components['schemas']['EventLinks'];
export type Execution = components['schemas']['Execution'];
export type ExecutionComplete = components['schemas']['ExecutionComplete'];
export type ExecutionCosts = components['schemas']['ExecutionCosts'];
export type ExecutionCounts = components['schemas']['ExecutionCounts'];
export type ExecutionFailure = components['schemas']['ExecutionFailure'];
export type ExecutionFailureCode = components['schemas']['ExecutionFailureCode'];
export type ExecutionId = components['schemas']['ExecutionId'];
export type ExecutionLinks = components['schemas']['ExecutionLinks'];
export type ExecutionStarted = components['schemas']['ExecutionStarted'];
export type ExecutionStatus = components['schemas']['ExecutionStatus'];
export type FieldError = components['schemas']['FieldError'];
export type FieldInfo = components['schemas']['FieldInfo'];
export type FileCapabilities = components['schemas']['FileCapabilities'];
export type FileContent = components['schemas']['FileContent'];
export type FileCounts = components['schemas']['FileCounts'];
export type FileEntry = components['schemas']['FileEntry'];
export type FileLimits = components['schemas']['FileLimits'];
export type FileListing = components['schemas']['FileListing'];
export type FileMoved = components['schemas']['FileMoved'];
export type FileWritten = components['schemas']['FileWritten'];
export type Finding = components['schemas']['Finding'];
export type Health = components['schemas']['Health'];
export type HolderId = components['schemas']['HolderId'];
export type Kept = components['schemas']['Kept'];
export type KeyId = components['schemas']['KeyId'];
export type Label = components['schemas']['Label'];
export type LastRun = components['schemas']['LastRun'];
export type LeftOutPaths = components['schemas']['LeftOutPaths'];
export type Liveness = components['schemas']['Liveness'];
export type LlmCall = components['schemas']['LlmCall'];
export type LogLevel = components['schemas']['LogLevel'];
export type LogPosition = components['schemas']['LogPosition'];
export type MaintenanceReport = components['schemas']['MaintenanceReport'];
export type MaintenanceState = components['schemas']['MaintenanceState'];
export type Member = components['schemas']['Member'];
export type MemberChange = components['schemas']['MemberChange'];
export type MemberList = components['schemas']['MemberList'];
export type MemberRole = components['schemas']['MemberRole'];
export type MemberToAdd = components['schemas']['MemberToAdd'];
export type Membership = components['schemas']['Membership'];
export type MicroUsd = components['schemas']['MicroUsd'];
export type NewApiKey = components['schemas']['NewApiKey'];
export type NewBuild = components['schemas']['NewBuild'];
export type NewBuildOptions = components['schemas']['NewBuildOptions'];
export type NewConfiguration = components['schemas']['NewConfiguration'];
export type NewExecution = components['schemas']['NewExecution'];
export type NewRun = components['schemas']['NewRun'];
export type NewRunOptions = components['schemas']['NewRunOptions'];
export type NewWorkflowDocument = components['schemas']['NewWorkflowDocument'];
export type NewWorkspace = components['schemas']['NewWorkspace'];
export type Node = components['schemas']['Node'];
export type NodeId = components['schemas']['NodeId'];
export type NodeList = components['schemas']['NodeList'];
export type NodeState = components['schemas']['NodeState'];
export type Output = components['schemas']['Output'];
export type OutputList = components['schemas']['OutputList'];
export type Pending = components['schemas']['Pending'];
export type PendingKind = components['schemas']['PendingKind'];
export type Person = components['schemas']['Person'];
export type PersonId = components['schemas']['PersonId'];
export type PersonList = components['schemas']['PersonList'];
export type Phase = components['schemas']['Phase'];
export type PhaseStatus = components['schemas']['PhaseStatus'];
export type Priority = components['schemas']['Priority'];
export type ProcessTimes = components['schemas']['ProcessTimes'];
export type Product = components['schemas']['Product'];
export type ProgressKind = components['schemas']['ProgressKind'];
export type PromptMessage = components['schemas']['PromptMessage'];
export type PromptRole = components['schemas']['PromptRole'];
export type Provider = components['schemas']['Provider'];
export type Providers = components['schemas']['Providers'];
export type Question = components['schemas']['Question'];
export type Readiness = components['schemas']['Readiness'];
export type Reference = components['schemas']['Reference'];
export type Rename = components['schemas']['Rename'];
export type Repetition = components['schemas']['Repetition'];
export type RetryReason = components['schemas']['RetryReason'];
export type Role = components['schemas']['Role'];
export type Run = components['schemas']['Run'];
export type RunArtifacts = components['schemas']['RunArtifacts'];
export type RunCancelling = components['schemas']['RunCancelling'];
export type RunCompleted = components['schemas']['RunCompleted'];
export type RunDiagnostics = components['schemas']['RunDiagnostics'];
export type RunFailure = components['schemas']['RunFailure'];
export type RunId = components['schemas']['RunId'];
export type RunInput = components['schemas']['RunInput'];
export type RunLinks = components['schemas']['RunLinks'];
export type RunMode = components['schemas']['RunMode'];
export type RunOptions = components['schemas']['RunOptions'];
export type RunOutput = components['schemas']['RunOutput'];
export type RunQueued = components['schemas']['RunQueued'];
export type RunStarted = components['schemas']['RunStarted'];
export type RunStatus = components['schemas']['RunStatus'];
export type RunSummary = components['schemas']['RunSummary'];
export type RunWaiting = components['schemas']['RunWaiting'];
export type SafeMode = components['schemas']['SafeMode'];
export type SafeModeSwitch = components['schemas']['SafeModeSwitch'];
export type Service = components['schemas']['Service'];
export type Session = components['schemas']['Session'];
export type Sheet = components['schemas']['Sheet'];
export type SignIn = components['schemas']['SignIn'];
export type Source = components['schemas']['Source'];
export type Step = components['schemas']['Step'];
export type StepCompleted = components['schemas']['StepCompleted'];
export type StepCosts = components['schemas']['StepCosts'];
export type StepEnded = components['schemas']['StepEnded'];
export type StepError = components['schemas']['StepError'];
export type StepErrorCode = components['schemas']['StepErrorCode'];
export type StepFailed = components['schemas']['StepFailed'];
export type StepProgress = components['schemas']['StepProgress'];
export type StepRetrying = components['schemas']['StepRetrying'];
export type StepStarted = components['schemas']['StepStarted'];
export type StepStatus = components['schemas']['StepStatus'];
export type StreamState = components['schemas']['StreamState'];
export type StreamTicket = components['schemas']['StreamTicket'];
export type StreamTicketToMake = components['schemas']['StreamTicketToMake'];
export type TaskReport = components['schemas']['TaskReport'];
export type Totals = components['schemas']['Totals'];
export type Usage = components['schemas']['Usage'];
export type UsageAverages = components['schemas']['UsageAverages'];
export type UsageOfDay = components['schemas']['UsageOfDay'];
export type UsageOfExecutions = components['schemas']['UsageOfExecutions'];
export type UsageOfModel = components['schemas']['UsageOfModel'];
export type UsageOfWorkflow = components['schemas']['UsageOfWorkflow'];
export type UsageSummary = components['schemas']['UsageSummary'];
export type VenvChoice = components['schemas']['VenvChoice'];
export type VenvMetadata = components['schemas']['VenvMetadata'];
export type WaitReason = components['schemas']['WaitReason'];
export type WorkAndActors = components['schemas']['WorkAndActors'];
export type WorkState = components['schemas']['WorkState'];
export type Workflow = components['schemas']['Workflow'];
export type WorkflowDefinition = components['schemas']['WorkflowDefinition'];
export type WorkflowDocument = components['schemas']['WorkflowDocument'];
export type WorkflowDocumentChange = components['schemas']['WorkflowDocumentChange'];
export type WorkflowDocumentItem = components['schemas']['WorkflowDocumentItem'];
export type WorkflowDocumentLinks = components['schemas']['WorkflowDocumentLinks'];
export type WorkflowItem = components['schemas']['WorkflowItem'];
export type WorkflowLinks = components['schemas']['WorkflowLinks'];
export type WorkflowList = components['schemas']['WorkflowList'];
export type WorkflowStats = components['schemas']['WorkflowStats'];
export type Workspace = components['schemas']['Workspace'];
export type WorkspaceChange = components['schemas']['WorkspaceChange'];
export type WorkspaceId = components['schemas']['WorkspaceId'];
export type AuditPage = components['schemas']['AuditPage'];
export type ConsolePage = components['schemas']['ConsolePage'];
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
