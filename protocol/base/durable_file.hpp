#pragma once

#include <filesystem>
#include <functional>
#include <string_view>

#include "protocol/base/bytes.hpp"
#include "protocol/base/error.hpp"

namespace outcrop {

// Files that are either whole or absent, whatever happens in between: written under a
// temporary name in the same folder, fsync, rename, fsync of the folder (the protocol of
// Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014).

// Replaces `path` by `bytes`. On failure (a full disk, say) the old file is untouched and no
// temporary file is left.
[[nodiscard]] Status write_file_durably(const std::filesystem::path& path, BytesView bytes);
[[nodiscard]] Status write_file_durably(const std::filesystem::path& path, std::string_view text);

// The same for a library that writes to a path by itself: `write` gets the temporary path.
// An exception of `write` must be caught by the caller's lambda and returned as an error.
[[nodiscard]] Status write_file_durably(
    const std::filesystem::path& path,
    const std::function<Status(const std::filesystem::path& temporary)>& write);

// Makes a finished folder visible: fsync of all in `staged`, rename, fsync of the parent. Where it
// lies in `final_path` (filling_place), its entries move. already_exists where that is not vacant.
[[nodiscard]] Status publish_folder(const std::filesystem::path& staged,
                                    const std::filesystem::path& final_path);

// The whole file, refused above `limit` before anything is read.
[[nodiscard]] Result<Bytes> read_file(const std::filesystem::path& path, ByteCount limit);
[[nodiscard]] Result<std::string> read_text_file(const std::filesystem::path& path,
                                                 ByteCount limit = ByteCount::mib(16));

[[nodiscard]] Status sync_folder(const std::filesystem::path& folder);

}  // namespace outcrop
