"""What the operators' pages of every app lean on. The pages themselves are in the apps, in their admin.py."""
