"""The toolset `github`, to which `looking` and `changing` add their tools."""

from toolsets import Toolset
from toolsets.builtin.extras import needs
from toolsets.builtin.github.settings import GithubSettings

github = Toolset(
    "github",
    description="GitHub: repositories and their files, issues, pull requests, comments and workflows.",
    settings=GithubSettings,
    secrets=GithubSettings.secrets,
    hosts=GithubSettings.hosts,
)

needs(github, "gidgethub")
