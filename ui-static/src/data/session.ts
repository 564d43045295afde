import { signal } from '@preact/signals';

// Who is logged in. The token is kept in sessionStorage: it belongs to this origin, port included, while a cookie would be sent to every
// port of the host, where other people's services may listen. Tabs of the same console hand it to each other.

// What a person pasted: a token, "Bearer token", or a kubeconfig that holds one.
export function tokenFrom(pasted: string): string {
  const text = pasted.trim();
  if (/^\s*kind:\s*Config\s*$/m.test(text) || /^\s*client-certificate-data:/m.test(text)) {
    const found = /^\s*(?:- )?token:\s*["']?([^\s"']+)/m.exec(text);
    if (found) return found[1]!;
    throw new Error('This kubeconfig logs in with a client certificate, which a browser cannot use. Run "skerry console" on the machine for a link, or "skerry token" for a token.');
  }
  const token = text.replace(/^(?:authorization:\s*)?bearer\s+/i, '');
  if (/\s/.test(token)) throw new Error('A token is one word; this has spaces or line breaks in it.');
  return token;
}

// The code of a login link, taken out of the address so that it is neither kept in the history nor shared by mistake.
export function takeCode(location: { hash: string; pathname: string; search: string }, replace: (url: string) => void): string {
  const m = /^#k=([a-z0-9]{8,64})$/.exec(location.hash);
  if (!m) return '';
  replace(location.pathname + location.search);
  return m[1]!;
}

export interface Keep { getItem(key: string): string | null; setItem(key: string, value: string): void; removeItem(key: string): void }
export type Channel = Pick<BroadcastChannel, 'postMessage' | 'onmessage'>;
type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

const kKey = 'skerry-token', kAskPatience = 150;

export class Session {
  readonly token = signal('');
  readonly user = signal('');
  readonly notice = signal('');                      // why the login page is shown
  readonly starting = signal(true);

  constructor(private readonly fetch: Fetch, private readonly keep: Keep, private readonly channel: Channel | null, private readonly after: (ms: number, call: () => void) => void) {
    if (!channel) return;
    channel.onmessage = event => {
      const message = event.data as unknown as { t?: string; token?: string };
      if (message?.t === 'ask' && this.token.value !== '') channel.postMessage({ t: 'token', token: this.token.value });
      if (message?.t === 'token' && typeof message.token === 'string') this.answered?.(message.token);
      if (message?.t === 'logout') this.forget('');
    };
  }
  private answered: ((token: string) => void) | null = null;

  async start(code: string): Promise<void> {
    try {
      if (code !== '') await this.redeem(code);
      else await this.take(this.keep.getItem(kKey) ?? await this.askOtherTabs());
    } catch (e) {
      this.notice.value = e instanceof Error ? e.message : String(e);
    }
    this.starting.value = false;
  }

  async login(pasted: string): Promise<void> {
    const token = tokenFrom(pasted);
    if (token === '') throw new Error('Paste a token first.');
    await this.take(token);
    if (this.token.value === '') throw new Error('The server does not accept this token. It may have expired, or belong to another server.');
  }

  logout(): void {
    this.channel?.postMessage({ t: 'logout' });
    this.forget('');
  }
  // The server said 401.
  expired(): void {
    if (this.token.value !== '') this.forget('Your session has ended. Log in again to go on where you were.');
  }

  // A request as the user. 401 ends the session.
  async request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('Authorization', `Bearer ${this.token.value}`);
    const response = await this.fetch(path, { ...init, headers, credentials: 'omit', cache: 'no-store' });
    if (response.status === 401) this.expired();
    return response;
  }

  private forget(notice: string): void {
    this.keep.removeItem(kKey);
    this.token.value = '';
    this.user.value = '';
    this.notice.value = notice;
  }

  private async redeem(code: string): Promise<void> {
    const response = await this.fetch('/console/v1/login', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ code }), credentials: 'omit' });
    if (!response.ok) throw new Error('This login link was used already or is older than 15 minutes. "skerry console" prints a new one.');
    await this.take(((await response.json()) as { token: string }).token);
  }

  // Keeps a token that the server accepts.
  private async take(token: string): Promise<void> {
    if (token === '') return;
    const response = await this.fetch('/apis/authentication.k8s.io/v1/selfsubjectreviews', {
      method: 'POST', headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` }, credentials: 'omit',
      body: '{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}',
    });
    if (response.status === 401) { this.forget(''); return; }
    if (!response.ok) throw new Error(`The server answered ${response.status}; try again.`);
    const review = await response.json() as { status?: { userInfo?: { username?: string } } };
    this.keep.setItem(kKey, token);
    this.user.value = review.status?.userInfo?.username ?? '';
    this.notice.value = '';
    this.token.value = token;
  }

  private askOtherTabs(): Promise<string> {
    const channel = this.channel;
    if (!channel) return Promise.resolve('');
    return new Promise(resolve => {
      this.answered = resolve;
      channel.postMessage({ t: 'ask' });
      this.after(kAskPatience, () => resolve(''));
    });
  }
}
