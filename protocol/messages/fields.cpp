#include "protocol/messages/fields.hpp"

namespace outcrop::messages {
namespace {

constexpr std::size_t most_device_classes = 64;
constexpr std::size_t most_facts = 16;
constexpr double most_milliseconds = 1e9;
constexpr double most_megabytes = 1e9;

}  // namespace

std::string digest_or_empty(const std::optional<trust::Sha256Digest>& digest) {
  return digest ? digest->hex() : std::string();
}

Json blob_to_json(const BlobReference& blob) {
  return {{"sha256", blob.sha256.hex()},
          {"size", blob.size.value()},
          {"chunk_table", blob.chunk_table.hex()}};
}

BlobReference read_blob(ObjectReader reader) {
  BlobReference blob;
  blob.sha256 = reader.digest("sha256");
  blob.size = reader.size("size");
  blob.chunk_table = reader.digest("chunk_table");
  reader.done();
  return blob;
}

Json budgets_to_json(const std::vector<Budget>& budgets) {
  Json json = Json::array();
  for (const Budget& budget : budgets) {
    json.push_back({{"device_class", budget.device_class},
                    {"p90_ms", budget.p90_ms},
                    {"memory_mb", budget.memory_mb}});
  }
  return json;
}

std::vector<Budget> read_budgets(ObjectReader& reader) {
  std::vector<Budget> budgets;
  std::set<std::string> classes;
  reader.objects("budgets", 0, most_device_classes, [&](ObjectReader& element) {
    Budget budget;
    budget.device_class = element.name("device_class");
    budget.p90_ms = element.number("p90_ms", 1e-3, most_milliseconds);
    budget.memory_mb = element.number("memory_mb", 1e-3, most_megabytes);
    element.done();
    if (element.ok() && !classes.insert(budget.device_class).second) {
      element.refuse("device_class", "'" + budget.device_class + "' has two budgets");
    }
    budgets.push_back(std::move(budget));
  });
  return budgets;
}

std::string latent_of(const std::map<std::string, std::string>& about) {
  const auto found = about.find("latent");
  return found == about.end() ? std::string() : found->second;
}

std::map<std::string, std::string> read_about(ObjectReader reader) {
  std::map<std::string, std::string> about;
  for (const std::string& name : reader.keys(most_facts)) about[name] = reader.text(name);
  return about;
}

}  // namespace outcrop::messages
