// Types of clarion.js.

/** How a session's token is told; a token without an end is used until the service refuses it. */
export type Session = string | { token: string; expiresAt?: string | number | Date };

export interface ClarionOptions {
  /** Where the service is, with its version: `https://push.example.com/v2.0`. */
  baseUrl: string;
  organizationId: string;
  /** The member whose inbox it is. */
  userId: string;
  /**
   * A token for this member, from your own backend. Asked when there is none, when it ends within a minute,
   * and once when the service refuses it: then `stale` is the refused one. Nothing means that nobody is
   * signed in.
   */
  session: (asked: { stale: string | null }) => Promise<Session | null | undefined>;
  /** Your copy of service-worker.js, and the part of your site that it may see. */
  serviceWorker?: { url?: string | URL; scope?: string };
  /** How many entries the first listing keeps on this device; 1,000 when absent. */
  history?: number;
  /** Whether the app's icon shows the unread count where it can; true when absent. */
  badge?: boolean;
}

export type State = "SENT" | "READ" | "DISMISSED";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface Content {
  text: string;
  title?: string;
  screen: string;
  jigId?: string;
  inputs: { [name: string]: Json };
}

/** An entry of the inbox; `SENT` is unread. Times are RFC 3339 in UTC. */
export interface Entry {
  organizationId: string;
  notificationId: string;
  userId: string;
  state: State;
  startAt: string;
  content: Content;
  createdAt: string;
  createdBy: string;
  updatedAt: string;
  updatedBy: string;
  /** From then on it is in no inbox any more. */
  expiresAt: string;
}

/** `inbox`: all but dismissed ones. */
export type Filter = "inbox" | "unread" | "dismissed" | "all";

export interface ListOptions {
  /** `inbox` when absent. */
  filter?: Filter;
  /** 100 when absent. */
  limit?: number;
  /** The last entry of the page before. */
  after?: Pick<Entry, "startAt" | "notificationId">;
}

/** What a tap on a banner opens. `missing` says why there is nothing to open. */
export interface Opening {
  notificationId: string;
  screen: string | null;
  jigId: string | null;
  inputs: { [name: string]: Json };
  missing: null | "gone" | "unreachable";
}

export type LiveState = "off" | "connecting" | "live" | "waiting" | "offline" | "refused";

/** Why a push cannot reach this browser. */
export type Obstacle = "insecure" | "unsupported" | "needs-install" | "denied";

export interface RegisterOptions {
  /** Which channel; when absent, the organization's own. */
  channelId?: string;
  /** A name for the device, for people. */
  name?: string;
  appVersion?: string;
  /** What a banner says when a push cannot be read. */
  fallbackTitle?: string;
}

export type Registered =
  | { ok: true; deviceId: string }
  | {
      ok: false;
      reason:
        Obstacle | "needs-gesture" | "dismissed" | "no-channel" | "push-service" | "unreachable" | "refused";
      cause?: unknown;
    };

/** One of the person's devices; `isThis` marks this browser. */
export interface Device {
  deviceId: string;
  channelId: string;
  provider: "apns" | "fcm" | "webpush";
  registeredAt: string;
  isThis: boolean;
  name?: string;
  platform?: string;
  appVersion?: string;
  language?: string;
  timeZone?: string;
  lastSeenAt?: string;
}

export interface ClarionEvents {
  /** The inbox on this device changed. */
  change: CustomEvent<null>;
  /** New unread entries. */
  arrived: CustomEvent<{ entries: Entry[] }>;
  opened: CustomEvent<Opening>;
  live: CustomEvent<{ state: LiveState }>;
  /** This person signed out, here or in another tab. */
  signedout: CustomEvent<null>;
}

/**
 * Why something could not be done. `code` is the service's stable word, or `unreachable`, `no_session`,
 * `unauthorized`, `signed_out`.
 */
export class ClarionError extends Error {
  constructor(
    message: string,
    about: { code: string; status?: number; details?: Fault[]; retryAfterMs?: number; cause?: unknown },
  );
  code: string;
  /** The HTTP status; 0 when there was no answer. */
  status: number;
  details: Fault[];
  retryAfterMs: number;
}

export interface Fault {
  path: string;
  message: string;
}

export class Clarion extends EventTarget {
  constructor(options: ClarionOptions);

  start(): void;
  live(): void;
  stop(): void;
  get liveState(): LiveState;

  list(options?: ListOptions): Promise<Entry[]>;
  get(notificationId: string): Promise<Entry>;
  unread(): Promise<number>;
  markRead(notificationId: string): Promise<void>;
  markUnread(notificationId: string): Promise<void>;
  dismiss(notificationId: string): Promise<void>;
  restore(notificationId: string): Promise<void>;
  remove(notificationId: string): Promise<void>;
  markAllRead(): Promise<void>;
  sync(): Promise<void>;
  subscribe(listener: (inbox: { unread: number }) => void): () => void;

  registerPush(options?: RegisterOptions): Promise<Registered>;
  pushState(): Promise<"on" | "off" | Obstacle>;
  unregisterPush(): Promise<void>;
  devices(): Promise<Device[]>;
  removeDevice(deviceId: string): Promise<void>;
  onOpen(listener: (opening: Opening) => void): () => void;

  signOut(): Promise<void>;

  addEventListener<K extends keyof ClarionEvents>(
    type: K,
    listener: (event: ClarionEvents[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}
