#include "trainer_host/fleet/depot/open_blobs.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

namespace outcrop::fleet {

Result<const OpenBlob*> OpenBlobs::open(const trust::Sha256Digest& digest) {
  const std::filesystem::path path = store_.file(digest);
  const auto known = std::find_if(blobs_.begin(), blobs_.end(),
                                  [&](const OpenBlob& blob) { return blob.digest == digest; });
  if (known != blobs_.end() && is_still(known->fd.get(), path)) {
    blobs_.splice(blobs_.begin(), blobs_, known);
    return &blobs_.front();
  }
  if (known != blobs_.end()) blobs_.erase(known);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(Error::from_errno("opening " + path.string()));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return fail(Error::from_errno("reading " + path.string()));
  if (blobs_.size() >= most_) blobs_.pop_back();
  blobs_.push_front({digest, std::move(fd), ByteCount(static_cast<std::uint64_t>(info.st_size))});
  return &blobs_.front();
}

}  // namespace outcrop::fleet
