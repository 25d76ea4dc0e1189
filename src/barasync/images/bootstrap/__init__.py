"""Images made from a distribution's packages, without a registry.

By default the packages are unpacked, not installed, which takes no emulator: their maintainer
scripts would have to run on the image's architecture. `finish.sh` does for the common packages what
those scripts would have done with files: users and groups, `sh`, and the names that
update-alternatives gives, such as `cc`, `awk` and `which`. Anything else that a package sets up
when it is installed (its own users, generated configuration, the database of dpkg) is not there.
The other variants install them in a root directory with namespaces of its own, so that apt works in
the image. As in Debian's slim images, manuals, translations and documentation are left out.
"""

from barasync.images.bootstrap.checks import recipe_for
from barasync.images.bootstrap.image import bootstrap, existing
from barasync.images.bootstrap.recipe import Recipe

__all__ = ["Recipe", "bootstrap", "existing", "recipe_for"]
