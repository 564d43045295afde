#pragma once
#include <string>
#include <vector>

#include "core/container/spec.h"
#include "core/base/result.h"

namespace skerry::container::oci {

struct ResolvedUser {
  std::int64_t uid = 0, gid = 0;
  std::vector<std::int64_t> groups;
  std::string home;             // empty: not in /etc/passwd
};

// Who a container runs as: what the spec says, else the image's USER ("name", "uid", "name:group", "uid:gid"), names looked up in
// the image's own files below root_fd. kInvalid: an unknown name.
Result<ResolvedUser> ResolveUser(int root_fd, const User& wanted, const std::string& image_user);

// mkdir -p inside a root, never through its links to the outside.
Result<> MakeDirectoriesInRoot(int root_fd, const std::string& path);

}  // namespace skerry::container::oci
