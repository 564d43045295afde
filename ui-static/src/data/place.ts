// Where the user is, as the address says it:
//   /console/                              home of every namespace       /console/p/shop                    home of one
//   /console/all/pods                      a kind in every namespace     /console/p/shop/pods               in one
//   /console/p/shop/pods/web-1/logs        one object, one tab           /console/cluster/nodes/edge        of the cluster
// What filters and sorts a table is in the query: ?q=error&by=-Age.

export interface Place { ns: string; kind: string; name: string; tab: string; query: Record<string, string> }

export const root = '/console/';
const part = (text: string | undefined): string => { try { return decodeURIComponent(text ?? ''); } catch { return text ?? ''; } };

export function parsePlace(pathname: string, search: string): Place {
  const [scope, ...rest] = pathname.startsWith(root) ? pathname.slice(root.length).split('/') : [];
  const query = Object.fromEntries(new URLSearchParams(search));
  if (scope === 'p') return { ns: part(rest[0]), kind: part(rest[1]), name: part(rest[2]), tab: part(rest[3]), query };
  if (scope === 'all' || scope === 'cluster') return { ns: '', kind: part(rest[0]), name: part(rest[1]), tab: part(rest[2]), query };
  return { ns: '', kind: '', name: '', tab: '', query };
}

export function placePath(place: { ns?: string; kind?: string; name?: string; tab?: string; query?: Record<string, string> }, namespaced = true): string {
  const scope = place.ns ? ['p', place.ns] : place.kind ? [namespaced ? 'all' : 'cluster'] : [];
  const parts = [...scope, place.kind, place.name, place.tab].filter((p): p is string => !!p).map(encodeURIComponent);
  const search = new URLSearchParams(Object.entries(place.query ?? {}).filter(([, v]) => v !== '')).toString();
  return root + parts.join('/') + (search ? `?${search}` : '');
}
