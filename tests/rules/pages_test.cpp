#include <gmock/gmock.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "protocol/base/durable_file.hpp"

namespace outcrop::rules {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;

std::string text_of(const fs::path& page) {
  const auto text = read_text_file(page, ByteCount::mib(4));
  EXPECT_TRUE(text) << page;
  return text ? *text : std::string();
}

// Where a page points to, but for other machines: "fleet.md#2-keys", "#32-bits".
std::vector<std::string> links_of(const std::string& text) {
  static const std::regex pattern(R"(\]\(([^)\s]+)\))");
  std::vector<std::string> links;
  for (std::sregex_iterator at(text.begin(), text.end(), pattern), end; at != end; ++at) {
    if ((*at)[1].str().find("://") == std::string::npos) links.push_back((*at)[1]);
  }
  return links;
}

// As GitHub names headings: lower case, blanks become hyphens, punctuation goes.
std::set<std::string> anchors_of(const std::string& text) {
  static const std::regex heading(R"((^|\n)#+ +([^\n]*))");
  std::set<std::string> anchors;
  for (std::sregex_iterator at(text.begin(), text.end(), heading), end; at != end; ++at) {
    std::string anchor;
    for (const char c : (*at)[2].str()) {
      if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_') {
        anchor += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      } else if (c == ' ') {
        anchor += '-';
      }
    }
    anchors.insert(anchor);
  }
  return anchors;
}

// Names of tests are sentences: three underscores at least.
std::set<std::string> tests_named_in(const std::string& text) {
  static const std::regex pattern(R"(`([a-z0-9]+(_[a-z0-9]+){3,})`)");
  std::set<std::string> names;
  for (std::sregex_iterator at(text.begin(), text.end(), pattern), end; at != end; ++at) {
    const std::string name = (*at)[1];
    if (!name.ends_with("_test")) names.insert(name);  // else a program of them
  }
  return names;
}

void expect_links_lead_somewhere(const fs::path& page) {
  const std::string text = text_of(page);
  for (const std::string& link : links_of(text)) {
    const auto hash = link.find('#');
    const std::string file = link.substr(0, hash);
    const fs::path target = file.empty() ? page : (page.parent_path() / file).lexically_normal();
    ASSERT_TRUE(fs::exists(target)) << page << " points to " << link;
    if (hash == std::string::npos) continue;
    EXPECT_THAT(anchors_of(text_of(target)), Contains(link.substr(hash + 1)))
        << page << " points to " << link;
  }
}

std::vector<fs::path> pages_of_the_tree() {
  std::vector<fs::path> pages;
  for (fs::recursive_directory_iterator at(OUTCROP_SOURCE), end; at != end; ++at) {
    const std::string name = at->path().filename().string();
    if (at->is_directory() && (name == "build" || name.front() == '.')) {
      at.disable_recursion_pending();
    } else if (at->path().extension() == ".md") {
      pages.push_back(at->path());
    }
  }
  return pages;
}

TEST(Pages, link_to_what_is_there) {
  const auto pages = pages_of_the_tree();
  ASSERT_GT(pages.size(), 8U);
  for (const fs::path& page : pages) expect_links_lead_somewhere(page);
}

// What is promised is tried by what is there.
TEST(Pages, name_tests_that_there_are) {
  const fs::path source(OUTCROP_SOURCE);
  std::string tests;
  for (const char* folder : {"agent", "platform", "protocol", "runtime", "tests", "trainer_host"}) {
    for (const auto& file : fs::recursive_directory_iterator(source / folder)) {
      if (file.path().string().ends_with("_test.cpp")) tests += text_of(file.path());
    }
  }
  const auto named = tests_named_in(text_of(source / "docs/security.md"));
  EXPECT_GT(named.size(), 20U);
  for (const std::string& name : named) EXPECT_NE(tests.find(", " + name + ")"), std::string::npos) << name;
}

TEST(Pages, are_found_from_the_readme) {
  const fs::path source(OUTCROP_SOURCE);
  const auto links = links_of(text_of(source / "README.md"));
  for (const fs::path& page : pages_of_the_tree()) {
    const fs::path path = page.lexically_relative(source);
    const std::string name = path.filename().string();
    // What stands beside the code for its readers only, and the README itself.
    if (name == "README.md" || name == "CHANGELOG.md") continue;
    EXPECT_THAT(links, Contains(path.string()));
  }
}

TEST(Pages, are_installed_on_host_and_board_with_links_that_work_there) {
  const fs::path folder(OUTCROP_PAGES);
  const std::string rules = text_of(folder.parent_path() / "cmake_install.cmake");
  for (const char* name : {"agent-api.md", "host-api.md", "fleet.md", "python.md", "schema.md"}) {
    const fs::path page = folder / name;
    expect_links_lead_somewhere(page);
    const auto first = rules.find(page.string());
    ASSERT_NE(first, std::string::npos) << name;
    EXPECT_NE(rules.find(page.string(), first + 1), std::string::npos) << name;
  }
  EXPECT_THAT(text_of(folder / "agent-api.md"), HasSubstr("](schema.md"));
}

}  // namespace
}  // namespace outcrop::rules
