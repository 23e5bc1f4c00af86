#pragma once

#include <filesystem>

namespace outcrop::fleet {

// Where things are in the state folder.
//
//   registry.sqlite   devices, releases, rollouts, reports, metadata
//   blobs/            manifests, variants, golden files, chunk tables
//   broker/           certificates and configuration of the broker that outcropd starts
//   history/          how boards fared, by days (monitor/history_file.hpp), where that is not in PostgreSQL
//   tokens.json       who may come by TCP: names, roles and hashes
//   lock              held while an outcropd works in this folder
struct StateFolder {
  std::filesystem::path folder;
  [[nodiscard]] std::filesystem::path registry() const { return folder / "registry.sqlite"; }
  [[nodiscard]] std::filesystem::path blobs() const { return folder / "blobs"; }
  [[nodiscard]] std::filesystem::path broker() const { return folder / "broker"; }
  [[nodiscard]] std::filesystem::path history() const { return folder / "history"; }
  [[nodiscard]] std::filesystem::path tokens() const { return folder / "tokens.json"; }
  [[nodiscard]] std::filesystem::path lock() const { return folder / "lock"; }
};

}  // namespace outcrop::fleet
